package finish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/view"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

func certificate(t *testing.T, subject pkix.Name) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestSubjectHash uses a name whose hash openssl 3 printed.
func TestSubjectHash(t *testing.T) {
	cert := certificate(t, pkix.Name{Country: []string{"DE"}, Organization: []string{"  Wellcar   Test "}, CommonName: "Root Ä"})
	hash, err := subjectHash(cert)
	if err != nil {
		t.Fatal(err)
	}
	if hash != wellcarHash {
		t.Errorf("%08x, want %08x", hash, wellcarHash)
	}
	name := filepath.Join(t.TempDir(), "c.pem")
	if err := os.WriteFile(name, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := tooltest.Command(t, "openssl", "x509", "-noout", "-hash", "-in", name).Output()
	if err != nil || strings.TrimSpace(string(out)) != hex8(hash) {
		t.Errorf("openssl says %s (%v), we say %08x", out, err, hash)
	}
}

func TestCertificateAuthorities(t *testing.T) {
	tree := fstree.New()
	cert := certificate(t, pkix.Name{CommonName: "same"})
	for _, name := range []string{"B.crt", "A.crt"} {
		if err := putFile(tree, caSource+"/"+name, 0o644, cert); err != nil {
			t.Fatal(err)
		}
	}
	if err := CertificateAuthorities(tree); err != nil {
		t.Fatal(err)
	}
	hash, err := subjectHash(cert)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{hex8(hash) + ".0": "A.pem", hex8(hash) + ".1": "B.pem", "A.pem": "/" + caSource + "/A.crt"} {
		if n := tree.Get(caTarget + "/" + name); n == nil || n.Target != want {
			t.Errorf("%s: %+v, want a link to %s", name, n, want)
		}
	}
	if n := tree.Get(caTarget + "/ca-certificates.crt"); n == nil || n.Blob.Size != int64(2*len(cert)) {
		t.Errorf("bundle: %+v", n)
	}
}

func TestState(t *testing.T) {
	tree := fstree.New()
	dropped, err := State(tree, []fstree.Node{
		{Path: "var/lib", Kind: fstree.Dir}, {Path: "var/lib/a b", Kind: fstree.Dir, Mode: 0o2775, UID: 1, GID: 8},
		{Path: "var/lib/dpkg/x", Kind: fstree.Dir}, {Path: "var/lib/l", Kind: fstree.Symlink, Target: "/run/l"}, {Path: "var/lib/f", Kind: fstree.File, Origin: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tree.Get("usr/lib/tmpfiles.d/wellcar-state.conf").Blob.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := "# What packages bring below /var. tmpfiles.d(5)\nd /var/lib/a\\x20b 2775 1 8 -\nL /var/lib/l - - - - /run/l\n"
	if d := cmp.Diff(want, string(text)) + cmp.Diff([]string{"var/lib/f (p)"}, dropped); d != "" {
		t.Error(d)
	}
}

func TestRelease(t *testing.T) {
	tree := fstree.New()
	if err := Release(tree, Identity{"1.2.3", "amd64-usr", "quiet"}); err != nil {
		t.Fatal(err)
	}
	text, err := tree.Get("usr/lib/os-release").Blob.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ID=flatcar", "VARIANT_ID=wellcar", "SYSEXT_LEVEL=1.0", "VERSION_ID=1.2.3", `NAME="Wellcar Container Linux"`, `FLATCAR_BOARD="amd64-usr"`} {
		if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
	v := view.View{Tree: tree}
	for _, link := range []string{layout.ShippedEtc + "/os-release", "usr/share/flatcar/os-release", "usr/share/coreos", "usr/lib/coreos", layout.ShippedEtc + "/coreos"} {
		if _, outcome := v.ResolveLink(tree.Get(link)); outcome != view.Found {
			t.Errorf("%s leads nowhere", link)
		}
	}
}

func hex8(n uint32) string { return fmt.Sprintf("%08x", n) }

const wellcarHash = 0xa58fd155
