package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

const mib = 1 << 20

var options = Options{Label: "EFI-SYSTEM", VolumeID: 0xcafe1234, Time: time.Date(2025, 10, 1, 12, 34, 56, 0, time.UTC)}

// tree makes a tree from path and content; a path that ends in "/" is a directory.
func tree(t testing.TB, files map[string]string) *fstree.Tree {
	t.Helper()
	tr := fstree.New()
	for name, content := range files {
		n := fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte(content))}
		if strings.HasSuffix(name, "/") {
			n = fstree.Node{Path: name, Kind: fstree.Dir, Mode: 0o755}
		}
		if err := tr.Put(n); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func esp() map[string]string {
	rng := rand.New(rand.NewPCG(1, 1))
	big := make([]byte, 300_001)
	for i := range big {
		big[i] = byte(rng.Uint32())
	}
	files := map[string]string{
		"EFI/BOOT/BOOTX64.EFI": "boot", "EFI/Linux/wellcar-4000.0.0+3.efi": string(big), "loader/loader.conf": "timeout 0\n",
		"flatcar/first_boot": "", "empty dir/": "", "README": "no extension", "Umlaute äöü 🚃.text": "x", ".hidden": "y", "a+b=c.tar.gz": "z",
		"exactly13char": "1", "exactly26charactersinaname": "2", "A.B.C": "3", "lower.txt": "4", strings.Repeat("long", 60): "5",
	}
	for i := range 150 {
		files[fmt.Sprintf("many/file number %d.conf", i)] = fmt.Sprint(i)
	}
	return files
}

// disk makes a sparse file with a file system.
func disk(t *testing.T, size int64, opt Options, tr *fstree.Tree) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := Write(f, size, opt, tr); err != nil {
		t.Fatal(err)
	}
	return f
}

// contents lists a tree as path and content.
func contents(t testing.TB, tr *fstree.Tree) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, n := range tr.Nodes() {
		if n.Kind == fstree.Dir {
			all[n.Path+"/"] = ""
			continue
		}
		data, err := n.Blob.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if fstree.BytesBlob(data).SHA256 != n.Blob.SHA256 {
			t.Errorf("%s: wrong hash", n.Path)
		}
		all[n.Path] = string(data)
	}
	return all
}

var sizes = map[string]struct {
	size   int64
	sector int
	bits   int
}{
	"FAT16 5M": {5 * mib, 0, 16}, "FAT16 30M": {30 * mib, 0, 16}, "FAT32 40M": {40 * mib, 0, 32}, "FAT32 128M": {128 * mib, 0, 32},
	"FAT32 1G": {1024 * mib, 0, 32}, "FAT32 20G": {20 << 30, 0, 32}, "FAT32 4Kn": {1024 * mib, 4096, 32}, "FAT16 4Kn": {64 * mib, 4096, 16},
	"odd": {777*mib + 1234, 0, 32},
}

func TestRoundTrip(t *testing.T) {
	tr := tree(t, esp())
	for name, c := range sizes {
		t.Run(name, func(t *testing.T) {
			opt := options
			opt.SectorSize = c.sector
			f := disk(t, c.size, opt, tr)
			v, err := Open(f)
			if err != nil {
				t.Fatal(err)
			}
			if v.bits != c.bits || v.Label() != "EFI-SYSTEM" || v.VolumeID() != options.VolumeID {
				t.Errorf("FAT%d, label %q, id %x", v.bits, v.Label(), v.VolumeID())
			}
			got, err := v.Tree()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(contents(t, tr), contents(t, got)); diff != "" {
				t.Error(diff)
			}
			if out, err := tooltest.Command(t, "fsck.fat", "-n", "-v", f.Name()).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	v, err := Open(disk(t, 64*mib, options, tree(t, esp())))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/efi/boot/bootx64.efi": "boot", "LOADER/LOADER~1.CON": "timeout 0\n", "flatcar/first_boot": ""} {
		got, err := v.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"none", "README/x", "EFI/none"} {
		if _, err := v.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.ReadFile("EFI"); err == nil {
		t.Error("a directory was read as a file")
	}
}

func TestNames(t *testing.T) {
	v, err := Open(disk(t, 64*mib, options, tree(t, esp())))
	if err != nil {
		t.Fatal(err)
	}
	if names, err := v.Names("efi/BOOT"); err != nil || len(names) != 1 || !strings.EqualFold(names[0], "bootx64.efi") {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := v.Names("EFI/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := v.Names("flatcar/first_boot"); err == nil {
		t.Error("a file was listed")
	}
}

func TestSameBytesAndSparse(t *testing.T) {
	var images [2][]byte
	for i := range images {
		opt := options
		opt.Time = opt.Time.In(time.FixedZone("elsewhere", 3600*i))
		data, err := os.ReadFile(disk(t, 64*mib, opt, tree(t, esp())).Name())
		if err != nil {
			t.Fatal(err)
		}
		images[i] = data
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two runs differ")
	}
	var count counter
	if err := Write(&count, 1024*mib, options, tree(t, map[string]string{"a": "b"})); err != nil || count > 20_000 {
		t.Errorf("a small tree took %d bytes of a large volume, %v", count, err)
	}
}

type counter int

func (c *counter) WriteAt(p []byte, _ int64) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func TestWriteRefuses(t *testing.T) {
	link := fstree.New()
	if err := link.Put(fstree.Node{Path: "l", Kind: fstree.Symlink, Target: "x"}); err != nil {
		t.Fatal(err)
	}
	one := func(name string) *fstree.Tree { return tree(t, map[string]string{name: "1"}) }
	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprintf("file %d", i)] = ""
	}
	cases := []struct {
		size int64
		opt  Options
		tree *fstree.Tree
		want string
	}{
		{64 * mib, options, link, "cannot hold a symlink"},
		{64 * mib, options, one("a:b"), "does not allow"},
		{64 * mib, options, one("bad\xff"), "does not allow"},
		{64 * mib, options, one("a."), "ends in"},
		{64 * mib, options, one(strings.Repeat("n", 256)), "256 characters"},
		{64 * mib, options, tree(t, map[string]string{"d/Ab": "", "d/aB": ""}), "only in case"},
		{64 * mib, Options{Label: "lower"}, one("a"), "upper-case"},
		{64 * mib, Options{Label: "TWELVE-CHARS"}, one("a"), "upper-case"},
		{64 * mib, Options{SectorSize: 513}, one("a"), "sector size"},
		{5 * mib, options, tree(t, many), "only 512 entries"},
		{5 * mib, options, tree(t, map[string]string{"x": strings.Repeat("x", 5*mib)}), "no space left"},
		{1 * mib, options, one("a"), "too few"},
	}
	for _, c := range cases {
		var none counter
		if err := Write(&none, c.size, c.opt, c.tree); err == nil || !strings.Contains(err.Error(), c.want) || none > 0 {
			t.Errorf("want %q, got %v (%d bytes written)", c.want, err, none)
		}
	}
}

func TestAliases(t *testing.T) {
	taken := map[[11]byte]bool{}
	for _, c := range [][2]string{{"loader.conf", "LOADER~1CON"}, {"loader.config", "LOADER~2CON"}, {"first_boot", "FIRST_~1   "}, {".hidden", "HIDDEN~1   "}, {"a+b.tar.gz", "A_BTAR~1GZ "}, {"日本", "__~1       "}} {
		got := alias(c[0], taken)
		taken[got] = true
		if string(got[:]) != c[1] {
			t.Errorf("alias of %s is %q, want %q", c[0], got, c[1])
		}
	}
	if _, ok := asShort("BOOTX64.EFI"); !ok {
		t.Error("BOOTX64.EFI is no short name")
	}
	for _, name := range []string{"boot.efi", "A.B.C", "A.", "TOOLONGNAME", "A.LONG", ".A", "A B"} {
		if _, ok := asShort(name); ok {
			t.Errorf("%s is a short name", name)
		}
	}
}

func TestStamp(t *testing.T) {
	if d, c := stamp(options.Time); d != 45<<9|10<<5|1 || c != 12<<11|34<<5|28 {
		t.Errorf("%x %x", d, c)
	}
	if d, c := stamp(time.Time{}); d != 33 || c != 0 {
		t.Errorf("%x %x", d, c)
	}
}

func TestMtoolsReadsItBack(t *testing.T) {
	f := disk(t, 64*mib, options, tree(t, esp()))
	out := t.TempDir()
	cmd := tooltest.Command(t, "mcopy", "-s", "-n", "-i", f.Name(), "::*", out)
	cmd.Env = append(cmd.Environ(), "MTOOLSRC=/dev/null")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	for name, want := range esp() {
		if strings.HasSuffix(name, "/") || name == "Umlaute äöü 🚃.text" { // mtools knows no characters beyond 16 bits
			continue
		}
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestReadsWhatMkfsWrites(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if out, err := tooltest.Command(t, "mkfs.vfat", "-C", "-n", "TESTLABEL", "-i", "12345678", "-F", "32", name, "65536").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The two files end up with interleaved clusters.
	for _, content := range []string{"1", "2"} {
		src := filepath.Join(t.TempDir(), "Mixed Case "+content)
		if err := os.WriteFile(src, bytes.Repeat([]byte(content), 5000), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := tooltest.Command(t, "mcopy", "-i", name, src, "::").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.ReadFile("Mixed Case 2")
	if err != nil || len(got) != 5000 || v.Label() != "TESTLABEL" || v.VolumeID() != 0x12345678 {
		t.Errorf("%d bytes, %v, label %q, id %x", len(got), err, v.Label(), v.VolumeID())
	}
}

// sparse is a fuzzed volume: some bytes, then zeros.
type sparse struct {
	parts map[int64][]byte
}

func (s *sparse) WriteAt(p []byte, off int64) (int, error) {
	s.parts[off] = bytes.Clone(p)
	return len(p), nil
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, data := range s.parts {
		if at < off+int64(len(p)) && off < at+int64(len(data)) {
			copy(p[max(0, at-off):], data[max(0, off-at):])
		}
	}
	return len(p), nil
}

func FuzzReader(f *testing.F) {
	f.Add(uint32(11), byte(1), uint32(1000), byte(2), uint32(9000), byte(9))
	f.Fuzz(func(t *testing.T, at1 uint32, v1 byte, at2 uint32, v2 byte, at3 uint32, v3 byte) {
		s := &sparse{parts: map[int64][]byte{}}
		if err := Write(s, 5*mib, options, tree(t, map[string]string{"dir/a long name.x": "content", "dir/sub/file": strings.Repeat("x", 9000)})); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			at uint32
			v  byte
		}{{at1, v1}, {at2, v2}, {at3, v3}} {
			for at, data := range s.parts {
				if i := int64(c.at) - at; i >= 0 && i < int64(len(data)) {
					data[i] ^= c.v
				}
			}
		}
		if v, err := Open(s); err == nil {
			v.Label()
			v.Tree()
			v.ReadFile("dir/sub/file")
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("a long name.txt", "A LONG~1.TXT", "x.y.z")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		tr := fstree.New()
		for i, name := range []string{a, b, c} {
			if strings.Contains(name, "/") || fstree.Clean(name) != name || name == "." {
				return
			}
			if err := tr.Put(fstree.Node{Path: "d/" + name, Kind: fstree.File, Blob: fstree.BytesBlob([]byte{byte(i)})}); err != nil {
				t.Fatal(err)
			}
		}
		s := &sparse{parts: map[int64][]byte{}}
		if err := Write(s, 5*mib, options, tr); err != nil {
			return
		}
		v, err := Open(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Tree()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents(t, tr), contents(t, got)); diff != "" {
			t.Error(diff)
		}
	})
}
