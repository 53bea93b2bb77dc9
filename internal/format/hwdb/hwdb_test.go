package hwdb

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

var sources = []File{
	{"/usr/lib/udev/hwdb.d/10-a.hwdb", "# comment\nusb:v1D6Bp0001*\n ID_VENDOR=one # note\n ID_MODEL=a=b\n\nusb:v1D6B*\nusb:v1D6C*\n  ID_VENDOR=two\n\nusb:v1D6Bp0002*\n ID_MODEL=\n"},
	{"/usr/lib/udev/hwdb.d/20-b.hwdb", "usb:v1D6B*\n ID_VENDOR=three\n ID_Z=z\n"},
}

// dump reads a compiled file back: pattern to "key=value (file:line)".
func dump(t *testing.T, data []byte) map[string][]string {
	t.Helper()
	le := binary.LittleEndian
	if string(data[:8]) != signature || le.Uint64(data[16:]) != uint64(len(data)) {
		t.Fatal("bad header")
	}
	text := func(at uint64) string {
		s, _, _ := bytes.Cut(data[le.Uint64(data[at:]):], []byte{0})
		return string(s)
	}
	out := map[string][]string{}
	var walk func(at uint64, path string)
	walk = func(at uint64, path string) {
		path += text(at)
		kids, values := uint64(data[at+8]), le.Uint64(data[at+16:])
		for i := range kids {
			c := at + nodeSize + i*childSize
			walk(le.Uint64(data[c+8:]), path+string(data[c]))
		}
		for i := range values {
			v := at + nodeSize + kids*childSize + i*valueSize
			out[path] = append(out[path], text(v)+"="+text(v+8)+" "+filepath.Base(text(v+16)))
		}
	}
	walk(le.Uint64(data[56:]), "")
	return out
}

func TestCompile(t *testing.T) {
	data, err := Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"usb:v1D6Bp0001*": {" ID_MODEL=a=b 10-a.hwdb", " ID_VENDOR=one 10-a.hwdb"},
		"usb:v1D6Bp0002*": {" ID_MODEL= 10-a.hwdb"},
		"usb:v1D6B*":      {" ID_VENDOR=three 20-b.hwdb", " ID_Z=z 20-b.hwdb"},
		"usb:v1D6C*":      {" ID_VENDOR=two 10-a.hwdb"},
	}
	if d := cmp.Diff(want, dump(t, data)); d != "" {
		t.Error(d)
	}
	again, err := Compile(sources)
	if err != nil || !bytes.Equal(data, again) {
		t.Error("two runs differ", err)
	}
}

func TestFaultsHaveLines(t *testing.T) {
	for text, want := range map[string]string{
		" A=b\n":           "x:1: the property \" A=b\" has no pattern",
		"m\n\n":            "x:2: the record has no property",
		"m\n A\n":          "x:2: \" A\" is not KEY=value",
		"m\n A=b\nother\n": "x:3: \"other\" is neither",
	} {
		if _, err := Compile([]File{{"x", text}}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestSystemdReadsIt asks systemd-hwdb what it finds.
func TestSystemdReadsIt(t *testing.T) {
	data, err := Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc/udev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/udev/hwdb.bin"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := tooltest.Command(t, "systemd-hwdb", "--root="+root, "query", "usb:v1D6Bp0001d0612").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	if d := cmp.Diff([]string{"ID_MODEL=a=b", "ID_VENDOR=three", "ID_Z=z"}, lines); d != "" {
		t.Error(d)
	}
}
