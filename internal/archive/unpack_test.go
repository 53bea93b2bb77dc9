package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

func entry(name string, kind byte, mode int64, text string) *tar.Header {
	h := &tar.Header{Name: name, Typeflag: kind, Mode: mode, Uid: 0, Gid: 8}
	if kind == tar.TypeReg {
		h.Size = int64(len(text))
		h.PAXRecords = map[string]string{"WELLCAR.text": text}
	} else {
		h.Linkname = text
	}
	return h
}

// makeDeb writes a package with the entries; a file's text is in a record.
func makeDeb(t testing.TB, compression string, entries ...*tar.Header) string {
	t.Helper()
	out := []byte("!<arch>\n")
	out = appendMember(out, "debian-binary", []byte("2.0\n"))
	out = appendMember(out, "control.tar"+compression, squeeze(t, compression, makeTar(t, entry("./control", tar.TypeReg, 0o644, "Package: a\n"))))
	out = appendMember(out, "data.tar"+compression, squeeze(t, compression, makeTar(t, entries...)))
	deb := filepath.Join(t.TempDir(), "a.deb")
	if err := os.WriteFile(deb, out, 0o644); err != nil {
		t.Fatal(err)
	}
	return deb
}

func makeTar(t testing.TB, entries ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, h.PAXRecords["WELLCAR.text"]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// appendMember adds a member to an ar archive.
func appendMember(out []byte, name string, content []byte) []byte {
	out = fmt.Appendf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name+"/", 0, 0, 0, 0o100644, len(content))
	out = append(out, content...)
	if len(content)%2 == 1 {
		out = append(out, '\n')
	}
	return out
}

func squeeze(t testing.TB, compression string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch compression {
	case ".gz":
		w := gzip.NewWriter(&out)
		w.Write(data)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	case ".zst":
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	default:
		return data
	}
	return out.Bytes()
}

// tree lists what is below a directory: "mode path text-or-target".
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel := strings.TrimPrefix(name, dir+"/")
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			out = append(out, rel+" -> "+target)
			return err
		case d.Type().IsRegular():
			data, err := os.ReadFile(name)
			out = append(out, fmt.Sprintf("%v %s %s", info.Mode(), rel, data))
			return err
		}
		out = append(out, rel+"/")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUnpack(t *testing.T) {
	first := makeDeb(t, ".gz",
		entry("./", tar.TypeDir, 0o755, ""),
		entry("./bin/", tar.TypeDir, 0o700, ""),
		entry("./bin/tool", tar.TypeReg, 0o4755, "run"),
		entry("./lib64/ld.so", tar.TypeReg, 0o755, "ld"),
		entry("./usr/bin/other", tar.TypeLink, 0, "./bin/tool"),
		entry("./usr/lib/x/libz.so", tar.TypeSymlink, 0o777, "/lib/y/libz.so.1"),
		entry("./usr/lib/x/near", tar.TypeSymlink, 0o777, "../y/near.1"),
		entry("./etc/alternatives/awk", tar.TypeSymlink, 0o777, "/usr/bin/mawk"),
		entry("./dev/null", tar.TypeChar, 0o666, ""),
		entry("./run/fifo", tar.TypeFifo, 0o666, ""),
		entry("./up", tar.TypeSymlink, 0o777, "/"),
	)
	second := makeDeb(t, ".zst",
		entry("./usr/", tar.TypeDir, 0o755, ""),
		entry("./usr/share/secret", tar.TypeReg, 0o600, "data"),
	)
	dir := filepath.Join(t.TempDir(), "deep", "tools")
	stale := dir + ".partial-123"
	if err := os.MkdirAll(filepath.Join(stale, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(stale, old, old); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(testContext(t), []string{first, second}, dir); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"bin -> usr/bin", "dev/", "etc/", "etc/alternatives/", "etc/alternatives/awk -> ../../usr/bin/mawk",
		"lib -> usr/lib", "lib64 -> usr/lib64", "run/", "sbin -> usr/sbin", "up -> .",
		"usr/", "usr/bin/", "-rwxr-xr-x usr/bin/other run", "-rwxr-xr-x usr/bin/tool run",
		"usr/lib/", "usr/lib/x/", "usr/lib/x/libz.so -> ../y/libz.so.1", "usr/lib/x/near -> ../y/near.1",
		"usr/lib64/", "-rwxr-xr-x usr/lib64/ld.so ld", "usr/sbin/", "usr/share/", "-rw-r--r-- usr/share/secret data",
	}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Error(diff)
	}
	wantAlone(t, dir)
	if err := Unpack(testContext(t), []string{"/does/not/exist"}, dir); err != nil {
		t.Errorf("a whole set was unpacked again: %v", err)
	}
}

// wantAlone checks that nothing partial is left next to dir.
func wantAlone(t testing.TB, dir string) {
	t.Helper()
	left, err := filepath.Glob(dir + ".*")
	if err != nil || left != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestUnpackRefusals(t *testing.T) {
	file := entry("./usr/bin/tool", tar.TypeReg, 0o755, "run")
	tests := map[string]struct {
		debs [][]*tar.Header
		want []string
	}{
		"name outside":        {[][]*tar.Header{{entry("./usr/../../x", tar.TypeReg, 0o644, "x")}}, []string{"./usr/../../x: it leads outside the tree"}},
		"link outside":        {[][]*tar.Header{{entry("./x", tar.TypeLink, 0o644, "../../etc/passwd")}}, []string{"./x: it leads outside the tree"}},
		"symlink outside":     {[][]*tar.Header{{entry("./usr/x", tar.TypeSymlink, 0o777, "../../etc")}}, []string{"./usr/x: it is a symlink to ../../etc, which is outside"}},
		"absolute with dots":  {[][]*tar.Header{{entry("./usr/x", tar.TypeSymlink, 0o777, "/../etc")}}, []string{"outside the tree"}},
		"through a symlink":   {[][]*tar.Header{{entry("./usr/x", tar.TypeSymlink, 0o777, "y"), entry("./usr/x/z", tar.TypeReg, 0o644, "z")}}, []string{"./usr/x/z"}},
		"link to nothing":     {[][]*tar.Header{{entry("./x", tar.TypeLink, 0o644, "y")}}, []string{"./x"}},
		"same file twice":     {[][]*tar.Header{{file}, {file}}, []string{"./usr/bin/tool", "brings it as well"}},
		"same by merged /usr": {[][]*tar.Header{{file}, {entry("./bin/tool", tar.TypeReg, 0o755, "run")}}, []string{"brings it as well"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var debs []string
			for _, entries := range tt.debs {
				debs = append(debs, makeDeb(t, "", entries...))
			}
			dir := filepath.Join(t.TempDir(), "tools")
			err := Unpack(testContext(t), debs, dir)
			wantError(t, err, append(tt.want, "unpacking "+filepath.Dir(debs[0])[:5], "a.deb")...)
			if _, err := os.Stat(dir); err == nil {
				t.Error("the directory looks whole")
			}
			wantAlone(t, dir)
		})
	}
}

func TestUnpackBrokenPackages(t *testing.T) {
	good, err := os.ReadFile(makeDeb(t, ".gz", entry("./x", tar.TypeReg, 0o644, strings.Repeat("x", 1000))))
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Index(good, []byte("data.tar.gz/")) // where its header starts
	tests := map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "it is not an ar archive"},
		"page":       {[]byte("<html></html>"), "it is not an ar archive"},
		"truncated":  {good[:len(good)-20], "data.tar.gz has"},
		"header":     {good[:40], "reading the member at byte 8: unexpected EOF"},
		"no size":    {bytes.Replace(good, fmt.Appendf(nil, "%-10d`", 4), []byte("four      `"), 1), `the size "four      " is not a number`},
		"version":    {bytes.Replace(good, []byte("2.0\n"), []byte("3.0\n"), 1), "it is not of format 2.0"},
		"no data":    {good[:data], "it has 2 members, not debian-binary, control.tar and data.tar"},
		"no control": {bytes.Replace(good, []byte("control.tar.gz"), []byte("kontrol.tar.gz"), 1), "not control.tar and data.tar"},
		"unknown":    {bytes.Replace(good, []byte("data.tar.gz"), []byte("data.tar.lz"), 1), `opening data.tar.lz: the compression ".lz" is not known`},
		"no gzip":    {append(good[:data+60:data+60], make([]byte, len(good)-data-60)...), "opening data.tar.gz: gzip: invalid header"},
		"damaged":    {append(good[:len(good)-30:len(good)-30], make([]byte, 30)...), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			deb := filepath.Join(t.TempDir(), "b.deb")
			if err := os.WriteFile(deb, tt.data, 0o644); err != nil {
				t.Fatal(err)
			}
			wantError(t, Unpack(testContext(t), []string{deb}, filepath.Join(t.TempDir(), "tools")), "unpacking "+deb, tt.want)
		})
	}
}

func TestUnpackInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	dir := filepath.Join(t.TempDir(), "tools")
	err := Unpack(ctx, []string{makeDeb(t, "", entry("./x", tar.TypeReg, 0o644, "x"))}, dir)
	wantError(t, err, "canceled")
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory looks whole")
	}
}
