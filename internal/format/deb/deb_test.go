package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/format/fstree"
)

type file struct {
	tar.Header
	body string
}

func makeTar(t testing.TB, files ...file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		h.Size = int64(len(f.body))
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, f.body)
	}
	w.Close()
	return b.Bytes()
}

func makeAr(members ...string) []byte { // name, body, name, body ...
	var b bytes.Buffer
	b.WriteString(arMagic)
	for i := 0; i < len(members); i += 2 {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", members[i], 0, 0, 0, 0o100644, len(members[i+1]))
		b.WriteString(members[i+1])
		if len(members[i+1])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func gz(data []byte) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.String()
}

func zst(t testing.TB, data []byte) string {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll(data, nil))
}

func makeDeb(t testing.TB, files ...file) *Package {
	control := makeTar(t, file{tar.Header{Name: "./control"}, "Package: sample\nVersion: 1-2\n"})
	raw := makeAr("debian-binary", "2.0\n", "control.tar.gz", gz(control), "data.tar.zst", zst(t, makeTar(t, files...)))
	p, err := Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpenRefuses(t *testing.T) {
	good := makeAr("debian-binary", "2.0\n", "control.tar.gz", "x", "data.tar.xz", "y")
	for name, raw := range map[string][]byte{
		"empty":         nil,
		"not ar":        []byte("PK\x03\x04 something"),
		"cut header":    good[:len(good)-40],
		"cut body":      append(bytes.Clone(good[:len(good)-2]), []byte{}...),
		"wrong order":   makeAr("debian-binary", "2.0\n", "data.tar.xz", "y", "control.tar.gz", "x"),
		"format 3":      makeAr("debian-binary", "3.0\n", "control.tar.gz", "x", "data.tar.xz", "y"),
		"two members":   makeAr("debian-binary", "2.0\n", "control.tar.gz", "x"),
		"negative size": bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1),
	} {
		if _, err := Open(bytes.NewReader(raw), int64(len(raw))); err == nil {
			t.Errorf("%s: opened", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// A module whose last bytes stand for a signature, as xz makes it.
const moduleXZ = "/Td6WFoAAAFpIt42AgAhARYAAAB0L+WjAQAnbW9kdWxlIGJ5dGVzfk1vZHVsZSBzaWduYXR1cmUgYXBwZW5kZWR+CgA0JSjRAAE8KC5kwGaQQpkNAQAAAAABWVo="

func extract(t *testing.T, p *Package, keep func(string) bool) ([]Entry, []byte) {
	t.Helper()
	var data bytes.Buffer
	entries, err := Extract(p, &data, keep)
	if err != nil {
		t.Fatal(err)
	}
	return entries, data.Bytes()
}

func TestExtract(t *testing.T) {
	module, err := base64.StdEncoding.DecodeString(moduleXZ)
	if err != nil {
		t.Fatal(err)
	}
	p := makeDeb(t,
		file{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}},
		file{Header: tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755}},
		file{Header: tar.Header{Name: "./usr/bin/", Typeflag: tar.TypeDir, Mode: 0o700}},
		file{tar.Header{Name: "./bin/tool", Mode: 0o4755, Gid: 42, Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00"}}, "tool"},
		file{Header: tar.Header{Name: "./bin/alias", Typeflag: tar.TypeLink, Linkname: "./bin/tool"}},
		file{Header: tar.Header{Name: "./sbin", Typeflag: tar.TypeSymlink, Linkname: "usr/sbin"}},
		file{tar.Header{Name: "./lib/modules/6/m.ko.xz"}, string(module)},
		file{tar.Header{Name: "./lib/modules/6/n.ko.xz"}, string(module)},
		file{tar.Header{Name: "./usr/share/doc/x"}, "not kept"},
	)
	entries, data := extract(t, p, func(path string) bool { return !strings.HasPrefix(path, "usr/share/doc") })
	const body = "module bytes~Module signature appended~\n"
	want := []Entry{
		{Path: ".", Mode: 0o755},
		{Path: "usr/bin", Mode: 0o755},
		{Path: "usr/bin/tool", Kind: fstree.File, Mode: 0o4755, GID: 42, Size: 4, SHA256: sha256.Sum256([]byte("tool")), Xattrs: map[string][]byte{"security.capability": {1, 0}}},
		{Path: "usr/bin/alias", Kind: fstree.File, Mode: 0o4755, GID: 42, LinkTo: "usr/bin/tool", Size: 4, SHA256: sha256.Sum256([]byte("tool")), Xattrs: map[string][]byte{"security.capability": {1, 0}}},
		{Path: "sbin", Kind: fstree.Symlink, Mode: 0o777, Target: "usr/sbin"},
		{Path: "usr/lib/modules/6/m.ko", Kind: fstree.File, Mode: 0o644, Offset: 4, Size: int64(len(body)), SHA256: sha256.Sum256([]byte(body))},
		{Path: "usr/lib/modules/6/n.ko", Kind: fstree.File, Mode: 0o644, Offset: 4 + int64(len(body)), Size: int64(len(body)), SHA256: sha256.Sum256([]byte(body))},
	}
	if d := cmp.Diff(want, entries); d != "" {
		t.Error(d)
	}
	if want := "tool" + body + body; string(data) != want {
		t.Errorf("data is %q, want %q", data, want)
	}
	got, err := entries[5].Node(bytes.NewReader(data), "sample").Blob.Bytes()
	if err != nil || string(got) != body {
		t.Errorf("the node's bytes are %q, %v", got, err)
	}
}

// The content of a dropped file survives under the links to it.
func TestExtractLinksToDropped(t *testing.T) {
	p := makeDeb(t,
		file{tar.Header{Name: "./usr/bin/first"}, "one"},
		file{tar.Header{Name: "./usr/bin/target"}, "linked"},
		file{Header: tar.Header{Name: "./usr/bin/a", Typeflag: tar.TypeLink, Linkname: "./usr/bin/target"}},
		file{Header: tar.Header{Name: "./usr/bin/b", Typeflag: tar.TypeLink, Linkname: "./usr/bin/target"}},
	)
	entries, data := extract(t, p, func(path string) bool { return path != "usr/bin/target" })
	sum := sha256.Sum256([]byte("linked"))
	want := []Entry{
		{Path: "usr/bin/first", Kind: fstree.File, Mode: 0o644, Size: 3, SHA256: sha256.Sum256([]byte("one"))},
		{Path: "usr/bin/a", Kind: fstree.File, Mode: 0o644, Offset: 3, Size: 6, SHA256: sum},
		{Path: "usr/bin/b", Kind: fstree.File, Mode: 0o644, LinkTo: "usr/bin/a", Offset: 3, Size: 6, SHA256: sum},
	}
	if d := cmp.Diff(want, entries); d != "" || string(data) != "onelinked" {
		t.Errorf("%s\ndata %q", d, data)
	}
}

func TestExtractRefuses(t *testing.T) {
	for name, f := range map[string][]file{
		"climbing":      {{tar.Header{Name: "./usr/../../etc/passwd"}, ""}},
		"climbing link": {{Header: tar.Header{Name: "./x", Typeflag: tar.TypeLink, Linkname: "../etc/passwd"}}},
		"lost link":     {{Header: tar.Header{Name: "./x", Typeflag: tar.TypeLink, Linkname: "./y"}}},
		"device":        {{Header: tar.Header{Name: "./dev/null", Typeflag: tar.TypeChar}}},
		"twice":         {{tar.Header{Name: "./bin/x"}, ""}, {tar.Header{Name: "./usr/bin/x"}, ""}},
		"bad module":    {{tar.Header{Name: "./lib/x.ko.xz"}, "not xz"}},
		"long name":     {{tar.Header{Name: "./" + strings.Repeat("n", 256)}, ""}},
	} {
		if _, err := Extract(makeDeb(t, f...), io.Discard, nil); err == nil {
			t.Errorf("%s: unpacked", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(makeAr("debian-binary", "2.0\n", "control.tar.gz", gz(makeTar(f, file{tar.Header{Name: "./control"}, "A: b\n"})), "data.tar", string(makeTar(f, file{tar.Header{Name: "./x"}, "y"}))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Open(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		Extract(p, io.Discard, nil)
	})
}
