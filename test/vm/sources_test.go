package vm_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wellcar.dev/internal/provision/fetch/tftptest"
	"wellcar.dev/internal/qemu"
)

// sources are servers of files for the first boot, some of which lie.
type sources struct {
	http, https, tftp string // addresses as a machine writes them
	authority         []byte // PEM, of https
	tries             atomic.Int32
}

func (r *rig) serveSources() *sources {
	r.Helper()
	s := &sources{}
	mux := http.NewServeMux()
	text := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	text("/plain", "over http\n")
	text("/moved", "after a redirect\n")
	text("/changed", "not what was meant\n")
	mux.Handle("/old", http.RedirectHandler("/moved", http.StatusFound))
	mux.HandleFunc("/key", func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("X-Token") != "secret" {
			w.WriteHeader(http.StatusForbidden)
		}
		io.WriteString(w, "with a header\n")
	})
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) {
		if s.tries.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "at the third try\n")
	})
	mux.HandleFunc("/packed", func(w http.ResponseWriter, _ *http.Request) {
		z := gzip.NewWriter(w)
		io.WriteString(z, "unpacked\n")
		z.Close()
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "only this")
	})
	plain := httptest.NewServer(mux)
	r.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(mux)
	s.authority, secure.TLS = r.authority()
	secure.StartTLS()
	r.Cleanup(secure.Close)
	s.http, s.https = "http://"+qemu.HostAddress+":"+portOf(plain.Listener.Addr()), "https://"+qemu.HostAddress+":"+portOf(secure.Listener.Addr())
	s.tftp = "tftp://" + qemu.HostAddress + ":" + portOf(tftptest.Serve(r, map[string]string{"dir/file": strings.Repeat("over tftp\n", 1000)}))
	return s
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// authority is a certificate of its own authority for the host.
func (r *rig) authority() ([]byte, *tls.Config) {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.ParseIP(qemu.HostAddress)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	r.must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// config has one file for each source, the first on line 2.
func (s *sources) config(r *rig, contents ...string) []byte {
	var b bytes.Buffer
	authority, err := json.Marshal("data:;base64," + base64Of(string(s.authority)))
	r.must(err)
	line, err := json.Marshal(r.key.Line)
	r.must(err)
	fmt.Fprintf(&b, `{"ignition":{"version":"3.3.0","timeouts":{"httpTotal":120},"security":{"tls":{"certificateAuthorities":[{"source":%s}]}}},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":[%s]}]},"storage":{"files":[`, authority, line)
	for i, c := range contents {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n{\"path\":\"/var/fetched/%d\",\"overwrite\":true,\"contents\":%s}", i, c)
	}
	b.WriteString("]}}")
	return b.Bytes()
}

// TestSources provisions a machine from servers, one of which only the second
// network card leads to. Its cable is plugged in when the first try has failed.
// Then it gives the program in the machine configs whose servers lie: no file
// of those may be written.
func TestSources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.serveSources()
	sum := sha512.Sum512([]byte("over http\n"))
	config := s.config(r,
		`{"source":"`+s.http+`/plain","verification":{"hash":"sha512-`+hex.EncodeToString(sum[:])+`"}}`,
		`{"source":"`+s.http+`/old"}`,
		`{"source":"`+s.http+`/key","httpHeaders":[{"name":"X-Token","value":"secret"}]}`,
		`{"source":"`+s.http+`/busy"}`,
		`{"source":"`+s.https+`/packed","compression":"gzip"}`,
		`{"source":"`+s.tftp+`/dir/file"}`,
		`{"source":"`+strings.Replace(s.http, qemu.HostAddress, "10.0.3.2", 1)+`/plain"}`)
	vm := r.start(qemu.Machine{Image: r.image, NICs: 2, FwCfg: map[string][]byte{configName: config}})
	r.plug(vm, "net1", false)
	r.says(vm, 0, `network: eth1 has no answer yet`)
	r.says(vm, 0, `http://10\.0\.3\.2:\d+/plain does not answer yet`)
	r.plug(vm, "net1", true)
	r.says(vm, 0, `network: eth1 has 10\.0\.3\.15/24 from 10\.0\.3\.2`)
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	defer client.Close()
	r.overSSH(client, []check{
		{"the files", "cd /var/fetched; cat 0 1 2 3 4; head -n 1 5; wc -l < 5; cat 6", "over http\nafter a redirect\nwith a header\nat the third try\nunpacked\nover tftp\n1000\nover http", 0},
		noFailed,
	})
	for _, lie := range []struct{ what, contents, want string }{
		{"another content", `{"source":"` + s.http + `/changed","verification":{"hash":"sha512-` + hex.EncodeToString(sum[:]) + `"}}`, `lie\.ign:2:\d+: .*sha512.*`},
		{"a cut connection", `{"source":"` + s.http + `/cut"}`, `lie\.ign:2:\d+: .*`},
		{"nothing there", `{"source":"` + s.http + `/none"}`, `lie\.ign:2:\d+: .*(404|not found).*`},
		{"a header that is missing", `{"source":"` + s.http + `/key"}`, `lie\.ign:2:\d+: .*403.*`},
		{"no gzip", `{"source":"` + s.http + `/plain","compression":"gzip"}`, `lie\.ign:2:\d+: .*gzip.*`},
		{"no such file", `{"source":"` + s.tftp + `/none"}`, `lie\.ign:2:\d+: .*`},
	} {
		text := s.config(r, lie.contents)
		text = bytes.ReplaceAll(text, []byte("/var/fetched/"), []byte("/var/lied/"))
		r.overSSH(client, []check{
			{lie.what, "echo " + base64Of(string(text)) + " | base64 --decode > /tmp/lie.ign; cd /tmp; sudo wellcard provision --root / --config lie.ign --record /run/lie/provision.json 2>&1 | tail --lines 1", "provision: " + lie.want, 0},
			{"what was written of " + lie.what, "ls -A /var/lied", "", 0},
		})
	}
}
