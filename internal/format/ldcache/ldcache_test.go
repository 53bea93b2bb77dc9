package ldcache

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// sharedObject makes an ELF file that declares a SONAME, or none.
func sharedObject(machine elf.Machine, soname string) []byte {
	names := "\x00" + soname + "\x00"
	dynamic := []elf.Dyn64{{Tag: int64(elf.DT_SONAME), Val: 1}, {}}
	if soname == "" {
		dynamic = dynamic[1:]
	}
	size := uint64(16 * len(dynamic))
	h := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1, Ehsize: 64,
		Shoff: 64 + size + 64, Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	sections := []elf.Section64{{},
		{Type: uint32(elf.SHT_DYNAMIC), Off: 64, Size: size, Link: 2, Entsize: 16},
		{Type: uint32(elf.SHT_STRTAB), Off: 64 + size, Size: uint64(len(names))}}
	var b bytes.Buffer
	for _, v := range []any{h, dynamic, append([]byte(names), make([]byte, 64-len(names))...), sections} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func sampleTree(t *testing.T) *fstree.Tree {
	tree := fstree.New()
	file := func(name string, content []byte) {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.File, Blob: fstree.BytesBlob(content)}); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, target string) {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.Symlink, Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	amd := elf.EM_X86_64
	link("lib", "usr/lib")
	file("usr/lib/a/libx.so.1.2", sharedObject(amd, "libx.so.1"))
	link("usr/lib/a/libx.so.1", "libx.so.1.2")
	link("usr/lib/a/libx.so", "libx.so.1.2")
	file("usr/lib/a/liby.so.10", sharedObject(amd, "liby.so.10"))
	link("usr/lib/a/liby.so", "liby.so.10")
	file("usr/lib/a/liby.so.9", sharedObject(amd, "liby.so.9"))
	file("usr/lib/a/libplugin.so", sharedObject(amd, ""))
	file("usr/lib/a/libodd-file.so", sharedObject(amd, "libodd.so.3"))
	file("usr/lib/a/libc.so", []byte("/* GNU ld script */"))
	file("usr/lib/a/libi386.so.1", sharedObject(elf.EM_386, "libi386.so.1"))
	file("usr/lib/a/module.so", sharedObject(amd, "module.so"))
	link("usr/lib/a/libgone.so.1", "libgone.so.1.0")
	file("usr/lib/a/glibc-hwcaps/x86-64-v3/liby.so.9", sharedObject(amd, "liby.so.9"))
	file("usr/lib/a/glibc-hwcaps/x86-64-v2/liby.so.9", sharedObject(amd, "liby.so.9"))
	file("usr/lib/libx.so.1", sharedObject(amd, "libx.so.1"))
	return tree
}

func scanned(t *testing.T) []Entry {
	entries, err := Scan(sampleTree(t), []string{"/usr/lib/a", "/gone", "/lib/a", "/lib"})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestScanWriteParse(t *testing.T) {
	got, err := Parse(Write(scanned(t)))
	want := []Entry{
		{"liby.so.10", "/usr/lib/a/liby.so.10", FlagsAMD64, ""},
		{"liby.so.9", "/usr/lib/a/glibc-hwcaps/x86-64-v2/liby.so.9", FlagsAMD64, "x86-64-v2"},
		{"liby.so.9", "/usr/lib/a/glibc-hwcaps/x86-64-v3/liby.so.9", FlagsAMD64, "x86-64-v3"},
		{"liby.so.9", "/usr/lib/a/liby.so.9", FlagsAMD64, ""},
		{"liby.so", "/usr/lib/a/liby.so", FlagsAMD64, ""},
		{"libx.so.1", "/usr/lib/a/libx.so.1", FlagsAMD64, ""},
		{"libx.so.1", "/usr/lib/libx.so.1", FlagsAMD64, ""},
		{"libplugin.so", "/usr/lib/a/libplugin.so", FlagsAMD64, ""},
		{"libodd.so.3", "/usr/lib/a/libodd-file.so", FlagsAMD64, ""},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestCompareNames(t *testing.T) {
	sorted := []string{"", "lib", "liba.so", "libb", "liba9", "liba10", "liba10a", "liba010b"}
	slices.SortFunc(sorted, compareNames)
	want := []string{"", "lib", "liba.so", "liba9", "liba10", "liba10a", "liba010b", "libb"}
	if d := cmp.Diff(want, sorted); d != "" {
		t.Error(d)
	}
}

func TestParseDamaged(t *testing.T) {
	whole := Write(scanned(t))
	for n := range whole {
		Parse(whole[:n]) // must not panic
	}
	for _, bad := range [][]byte{nil, []byte("ld.so-1.7.0"), whole[:100]} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

// ldconfig lists what we wrote, in our order.
func TestLdconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache")
	entries := scanned(t)
	if err := os.WriteFile(file, Write(entries), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := tooltest.Command(t, "ldconfig", "-p", "-C", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ldconfig: %v\n%s", err, out)
	}
	var got, want []string
	for _, m := range regexp.MustCompile(`\t(\S+) \(libc6,x86-64.*\) => (\S+)`).FindAllStringSubmatch(string(out), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	slices.SortStableFunc(entries, compareEntries)
	for _, e := range entries {
		want = append(want, e.Soname+" "+e.Path)
	}
	if d := cmp.Diff(want, got); d != "" || !strings.Contains(string(out), `"x86-64-v3"`) {
		t.Errorf("%s\n%s", d, out)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Write([]Entry{{"libx.so.1", "/usr/lib/libx.so.1", FlagsAMD64, "x86-64-v3"}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if entries, err := Parse(raw); err == nil {
			Write(entries)
		}
	})
}
