package hermetic_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// program is an ELF file with one program header of the given type.
func program(kind elf.ProgType) string {
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, h)
	binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(kind)})
	return b.String()
}

// makeSet writes files (a value that starts with "-> " is a symlink).
func makeSet(t *testing.T, files map[string]string) hermetic.Set {
	s := hermetic.Set{Dir: t.TempDir()}
	for name, content := range files {
		file := s.Path(name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func sample(t *testing.T) hermetic.Set {
	return makeSet(t, map[string]string{
		"usr/lib64/ld-linux-x86-64.so.2":            "-> ../lib/x86_64-linux-gnu/ld.so",
		"usr/lib/x86_64-linux-gnu/ld.so":            "loader",
		"usr/lib/x86_64-linux-gnu/sys/libx.so.1":    "",
		"usr/lib/x86_64-linux-gnu/other/plugin.so":  "",
		"usr/lib/x86_64-linux-gnu/qemu/block.so":    "",
		"opt/lib/libz.so":                           "",
		"etc/ld.so.conf.d/opt.conf":                 "# more\n/opt/lib\n/gone\n",
		"bin":                                       "-> usr/bin",
		"usr/bin/kmod":                              program(elf.PT_INTERP),
		"usr/sbin/depmod":                           "-> /bin/kmod",
		"usr/bin/static":                            program(elf.PT_LOAD),
		"usr/bin/bash":                              program(elf.PT_INTERP),
		"usr/bin/script":                            "#! /usr/bin/env sh -e\n",
		"usr/bin/deep":                              "#!/usr/bin/deep\n",
		"usr/bin/text":                              "words",
		"usr/bin/loop":                              "-> loop",
		"usr/bin/escape":                            "-> ../../../../../../../../bin/sh",
		"usr/bin/qemu-system-x86_64":                program(elf.PT_INTERP),
		"usr/share/qemu/vof.bin":                    "",
		"usr/lib/x86_64-linux-gnu/glibc-hwcaps/lib": "",
	})
}

func TestArgv(t *testing.T) {
	s := sample(t)
	lib := "usr/lib/x86_64-linux-gnu"
	dirs := strings.Join([]string{s.Path(lib), s.Path("usr/lib"), s.Path("usr/lib64"), s.Path(lib + "/sys"), s.Path("/opt/lib")}, ":")
	start := func(named, file string, args ...string) []string {
		return append([]string{s.Path(lib + "/ld.so"), "--inhibit-cache", "--library-path", dirs, "--argv0", s.Path(named), s.Path(file)}, args...)
	}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"depmod", start("usr/sbin/depmod", "usr/bin/kmod", "-a")},
		{"bin/kmod", start("bin/kmod", "usr/bin/kmod", "-a")},
		{"static", []string{s.Path("usr/bin/static"), "-a"}},
		{"sh", start("usr/bin/bash", "usr/bin/bash", "-a")},
		{"script", start("usr/bin/bash", "usr/bin/bash", "-e", s.Path("usr/bin/script"), "-a")},
		{"qemu-system-x86_64", start("usr/bin/qemu-system-x86_64", "usr/bin/qemu-system-x86_64", "-L", s.Path("usr/share/qemu"), "-a")},
	} {
		got, err := s.Argv(c.name, "-a")
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", c.name, err, d)
		}
		if !s.Has(c.name) {
			t.Errorf("Has(%s) is false", c.name)
		}
	}
}

func TestArgvRefuses(t *testing.T) {
	s := sample(t)
	for _, name := range []string{"gone", "loop", "escape", "usr/share/qemu"} {
		if _, err := s.Argv(name); !errors.Is(err, fs.ErrNotExist) || s.Has(name) {
			t.Errorf("%s: got %v, Has %v", name, err, s.Has(name))
		}
	}
	for _, name := range []string{"text", "deep"} {
		if _, err := s.Argv(name); err == nil {
			t.Errorf("%s can be run", name)
		}
	}
}

func TestEnviron(t *testing.T) {
	s := sample(t)
	got := s.Environ([]string{"PATH=/bin", "LD_LIBRARY_PATH=/x", "LANG=de", "LC_TIME=fr", "TZ=Asia/Tokyo", "HOME=/h"})
	want := []string{"PATH=/bin", "HOME=/h", "LC_ALL=C.UTF-8", "TZ=UTC", "QEMU_MODULE_DIR=" + s.Path("usr/lib/x86_64-linux-gnu/qemu")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHostProgram(t *testing.T) {
	for _, s := range []hermetic.Set{{}, {Dir: t.TempDir()}} {
		cmd, err := s.Command(t.Context(), "sh", "-c", "echo host")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.Output(); err != nil || string(out) != "host\n" {
			t.Errorf("got %q, %v", out, err)
		}
		if s.Has("sh") {
			t.Error("an empty set has sh")
		}
	}
}

// The real set runs programs of each kind without the host's libraries.
func TestTools(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the tool set is for Linux")
	}
	for _, c := range [][]string{
		{"mke2fs", "-V"}, {"mkfs.ext4", "-V"}, {"mkfs.erofs", "--version"}, {"depmod", "--version"},
		{"qemu-system-x86_64", "--version"}, {"qemu-img", "--version"}, {"swtpm", "--version"}, {"ldconfig", "--version"},
	} {
		t.Run(c[0], func(t *testing.T) {
			cmd := tooltest.Command(t, c[0], c[1:]...)
			out, err := cmd.CombinedOutput()
			if err != nil || !slices.ContainsFunc([]byte(out), func(b byte) bool { return b >= '0' && b <= '9' }) {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}
