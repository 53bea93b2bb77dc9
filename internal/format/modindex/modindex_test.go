package modindex

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/kmodinfo"
	"wellcar.dev/internal/format/kmodinfo/kmodinfotest"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// The sample: c needs b (by symbol) and a (through b); d is stripped and only
// declares what it needs; two modules share an alias.
var sample = []Module{
	{"kernel/d-d.ko", kmodinfo.Info{Depends: []string{"a"}, Aliases: []string{"pci:v0*"}}},
	{"kernel/c.ko", kmodinfo.Info{Undefined: []string{"printk", "b_do"}, Softdeps: []string{"pre: d-d"}, Weakdeps: []string{"a"}}},
	{"kernel/b.ko", kmodinfo.Info{Undefined: []string{"a_do", "a_undo"}, Exports: []string{"b_do"}, Aliases: []string{"pci:v0*", "char-major-10-200", "devname:net/tun"}}},
	{"kernel/a.ko", kmodinfo.Info{Exports: []string{"a_undo", "a_do"}, Aliases: []string{"net-pf-[a-z]-x", "broken]"}}},
	{"extra/z.ko", kmodinfo.Info{Undefined: []string{"printk"}}},
}

const (
	sampleOrder   = "kernel/a.ko\nkernel/gone.ko\nkernel/b.ko\nkernel/c.ko\nkernel/d-d.ko\n"
	sampleBuiltin = "kernel/fs/in-side.ko\nkernel/fs/init.ko\n"
	sampleModinfo = "in_side.license=GPL\x00in_side.alias=fs-inside\x00init.alias=x-y\x00"
)

func TestBuild(t *testing.T) {
	files, err := Build(slices.Clone(sample), []byte(sampleOrder), []byte(sampleBuiltin), []byte(sampleModinfo))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"modules.dep":               "kernel/a.ko:\nkernel/b.ko: kernel/a.ko\nkernel/c.ko: kernel/b.ko kernel/a.ko\nkernel/d-d.ko: kernel/a.ko\nextra/z.ko:\n",
		"modules.dep.bin":           "a=kernel/a.ko:\nb=kernel/b.ko: kernel/a.ko\nc=kernel/c.ko: kernel/b.ko kernel/a.ko\nd_d=kernel/d-d.ko: kernel/a.ko\nz=extra/z.ko:\n",
		"modules.alias":             "# Aliases extracted from modules themselves.\nalias net-pf-[a-z]-x a\nalias broken] a\nalias pci:v0* b\nalias char-major-10-200 b\nalias devname:net/tun b\nalias pci:v0* d_d\n",
		"modules.alias.bin":         "char_major_10_200=b\ndevname:net/tun=b\nnet_pf_[a-z]_x=a\npci:v0*=b\npci:v0*=d_d\n",
		"modules.symbols":           "# Aliases for symbols, used by symbol_request().\nalias symbol:a_do a\nalias symbol:a_undo a\nalias symbol:b_do b\n",
		"modules.symbols.bin":       "symbol:a_do=a\nsymbol:a_undo=a\nsymbol:b_do=b\n",
		"modules.softdep":           "# Soft dependencies extracted from modules themselves.\nsoftdep c pre: d-d\n",
		"modules.weakdep":           "# Weak dependencies extracted from modules themselves.\nweakdep c a\n",
		"modules.devname":           "# Device nodes to trigger on-demand module loading.\nb net/tun c10:200\n",
		"modules.builtin.bin":       "in_side=\ninit=\n",
		"modules.builtin.alias.bin": "fs_inside=in_side\nx_y=init\n",
	}
	got := map[string]string{}
	for name, data := range files {
		if got[name] = string(data); strings.HasSuffix(name, ".bin") {
			got[name] = dumpTrie(t, data)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// dumpTrie walks an index by its references and lists it as name=value lines.
func dumpTrie(t *testing.T, data []byte) string {
	number := func(at uint32) uint32 { return binary.BigEndian.Uint32(data[at:]) }
	if number(0) != trieMagic || number(4) != trieVersion {
		t.Fatalf("the header is %x", data[:8])
	}
	var out strings.Builder
	var walk func(ref uint32, name string)
	walk = func(ref uint32, name string) {
		at := ref & 0x0fffffff
		text := func() string {
			s, _, _ := strings.Cut(string(data[at:]), "\x00")
			at += uint32(len(s)) + 1
			return s
		}
		if ref&flagPrefix != 0 {
			name += text()
		}
		var first, last, table uint32
		if ref&flagChildren != 0 {
			first, last, table = uint32(data[at]), uint32(data[at+1]), at+2
			at = table + 4*(last-first+1)
		}
		if ref&flagValues != 0 {
			n := number(at)
			at += 4
			for ; n > 0; n-- {
				at += 4
				fmt.Fprintf(&out, "%s=%s\n", name, text())
			}
		}
		for c := first; table != 0 && c <= last; c++ {
			if child := number(table + 4*(c-first)); child != 0 {
				walk(child, name+string(rune(c)))
			}
		}
	}
	walk(number(8), "")
	return out.String()
}

func TestBuildRefuses(t *testing.T) {
	for want, mods := range map[string][]Module{
		"same module": {{Path: "kernel/a-b.ko"}, {Path: "extra/a_b.ko"}},
		"circle": {{"x.ko", kmodinfo.Info{Exports: []string{"x"}, Undefined: []string{"y"}}},
			{"y.ko", kmodinfo.Info{Exports: []string{"y"}, Undefined: []string{"x"}}}},
	} {
		if _, err := Build(mods, nil, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a word of %s", err, want)
		}
	}
}

func TestBuildEmpty(t *testing.T) {
	files, err := Build(nil, nil, nil, nil)
	if err != nil || dumpTrie(t, files["modules.dep.bin"]) != "" || files["modules.builtin.bin"] != nil {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestBuildIgnoresInputOrder(t *testing.T) {
	a, _ := Build(slices.Clone(sample), []byte(sampleOrder), nil, nil)
	mixed := slices.Clone(sample)
	slices.Reverse(mixed)
	b, _ := Build(mixed, []byte(sampleOrder), nil, nil)
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
}

// depmod makes the same files of the same modules, except that it does not
// sort modules.symbols.
func TestDepmod(t *testing.T) {
	dir := t.TempDir()
	mods := filepath.Join(dir, "lib/modules/6.1")
	write := func(name string, data []byte) {
		file := filepath.Join(mods, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list []Module
	for _, m := range sample {
		raw := moduleFile(m)
		write(m.Path, raw)
		info, err := kmodinfo.Read(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Module{m.Path, info})
	}
	write("modules.order", []byte(sampleOrder))
	write("modules.builtin", []byte(sampleBuiltin))
	write("modules.builtin.modinfo", []byte(sampleModinfo))
	if out, err := tooltest.Command(t, "depmod", "-b", dir, "6.1").CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v\n%s", err, out)
	}
	files, err := Build(list, []byte(sampleOrder), []byte(sampleBuiltin), []byte(sampleModinfo))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range files {
		want, err := os.ReadFile(filepath.Join(mods, name))
		if name == "modules.symbols" {
			lines := slices.Sorted(strings.Lines(string(want)))
			want = []byte(strings.Join(lines, ""))
		}
		if err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, want)
		}
	}
}

// moduleFile makes the ELF file of a sample. depmod goes by symbols alone, so
// a dependency that is only declared becomes one by symbol.
func moduleFile(m Module) []byte {
	var modinfo []string
	add := func(key string, values []string) {
		for _, v := range values {
			modinfo = append(modinfo, key+"="+v)
		}
	}
	add("alias", m.Info.Aliases)
	add("softdep", m.Info.Softdeps)
	add("weakdep", m.Info.Weakdeps)
	undefined := m.Info.Undefined
	for _, name := range m.Info.Depends {
		undefined = append(undefined, name+"_do")
	}
	return kmodinfotest.Module(modinfo, undefined, m.Info.Exports)
}
