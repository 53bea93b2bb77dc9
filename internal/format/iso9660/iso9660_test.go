package iso9660

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// volume unpacks an image that genisoimage wrote: both.iso with Rock Ridge
// and Joliet, the others with what their names say.
func volume(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadFile(t *testing.T) {
	for _, name := range []string{"both", "rr", "joliet"} {
		f, err := Open(bytes.NewReader(volume(t, "testdata/"+name+".iso.gz")))
		if err != nil {
			t.Fatal(name, err)
		}
		for file, want := range map[string]string{
			"/openstack/latest/user_data":      `{"ignition":{"version":"3.4.0"}}`,
			"/openstack/latest/meta_data.json": `{"hostname":"web-1.example.com","uuid":"u-1"}`,
		} {
			if got, err := f.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%s%s: %q %v", name, file, got, err)
			}
		}
		if got, err := f.ReadFile("openstack/content/0000"); err != nil || !strings.HasSuffix(string(got), "1999\n2000\n") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		for _, missing := range []string{"/user_data", "/openstack/latest/user_data/x", "/OPENSTACK/latest/user_data", "/openstack/latest/user"} {
			if _, err := f.ReadFile(missing); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s%s: %v", name, missing, err)
			}
		}
		if _, err := f.ReadFile("/openstack"); err == nil || !strings.Contains(err.Error(), "is a directory") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlainNames(t *testing.T) {
	f, err := Open(bytes.NewReader(volume(t, "testdata/plain.iso.gz")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.ReadFile("/openstac/content/0000"); err != nil || len(got) != 8893 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, data := range map[string][]byte{"empty": nil, "zeros": make([]byte, 1<<20)} {
		if _, err := Open(bytes.NewReader(data)); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.iso.gz")
	if err != nil {
		f.Fatal(err)
	}
	const head = 16 * sector
	for _, name := range files {
		data := volume(f, name)
		f.Add(data[head:min(len(data), head+40*sector)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Open(bytes.NewReader(append(make([]byte, head), data...)))
		if err != nil {
			return
		}
		v.ReadFile("/openstack/latest/user_data")
		v.ReadFile("/openstac/latest/user_dat")
	})
}
