package grub

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

func TestBootCode(t *testing.T) {
	boot := make([]byte, 512)
	boot[bootDrive], boot[510], boot[511] = 0xff, 0x55, 0xaa
	copy(boot[bootDriveCheck:], []byte{0xeb, 5})
	code, err := BootCode(boot, 0x0102030405)
	if err != nil || len(code) != CodeSize || le.Uint64(code[bootCore:]) != 0x0102030405 || code[bootDriveCheck] != 0x90 || code[bootDriveCheck+1] != 0x90 {
		t.Errorf("% x, %v", code, err)
	}
	if CoreAt(code) != 0x0102030405 || CoreAt(code[:100]) != 0 {
		t.Errorf("the core image is looked for at %#x", CoreAt(code))
	}
	if boot[bootCore] != 0 {
		t.Error("the input was changed")
	}
	for _, bad := range [][]byte{nil, boot[:511], make([]byte, 512)} {
		if _, err := BootCode(bad, 1); err == nil {
			t.Errorf("%d bytes were taken for boot code", len(bad))
		}
	}
}

func TestCore(t *testing.T) {
	image := make([]byte, 4*512-7)
	le.PutUint16(image[listAt+8:], 3)
	le.PutUint16(image[listAt+10:], segment)
	core, err := Core(image, 2048)
	if err != nil || len(core) != 4*512 || le.Uint64(core[listAt:]) != 2049 {
		t.Errorf("%d bytes, %v", len(core), err)
	}
	if Fits(core, 2047) == nil || Fits(core, 2048) != nil {
		t.Error("room is misjudged")
	}
	if n, ok := Length(core[:512], 2048); n != 4*512 || !ok {
		t.Errorf("the core image on a disk has %d bytes, %v", n, ok)
	}
	if _, ok := Length(core[:512], 2047); ok {
		t.Error("a core image that belongs elsewhere was taken")
	}
	le.PutUint16(core[listAt-listEntry+8:], 1)
	if _, ok := Length(core[:512], 2048); ok {
		t.Error("a core image in two pieces was taken")
	}
	for _, bad := range [][]byte{nil, image[:1000], image[:1030], make([]byte, 2000)} {
		if _, err := Core(bad, 1); err == nil {
			t.Errorf("%d bytes were taken for a core image", len(bad))
		}
	}
}

// TestRealParts prepares what the locked GRUB is made of.
func TestRealParts(t *testing.T) {
	modules := tooltest.Path(t, "usr/lib/grub/i386-pc")
	boot, err := os.ReadFile(filepath.Join(modules, "boot.img"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := BootCode(boot, 2048); err != nil {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "core.img")
	run(t, tooltest.Command(t, "grub-mkimage", "-d", modules, "-O", "i386-pc", "-p", "/boot", "-o", name, "biosdisk", "part_gpt", "fat"))
	image, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Core(image, 4096); err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

var sample = []Variable{{"begin", "1"}, {"words", `root=LABEL=ROOT path=C:\x "quoted"`}, {"empty", ""}, {"lines", "a\nb=c\n#d"}, {"tries", "--I"}}

func TestEnv(t *testing.T) {
	block, err := Env(sample, 1024)
	if err != nil || len(block) != 1024 {
		t.Fatalf("%d bytes, %v", len(block), err)
	}
	want := map[string]string{}
	for _, v := range sample {
		want[v.Name] = v.Value
	}
	got, err := ParseEnv(block)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := Env(sample, 64); err == nil || !strings.Contains(err.Error(), "it has 64") {
		t.Errorf("a block that is too small: %v", err)
	}
	if _, err := Env([]Variable{{"a=b", ""}}, 1024); err == nil {
		t.Error("a name with = was written")
	}
	for _, bad := range []string{"", "x", envHead + "name", envHead + "name=value", envHead + `a=\`} {
		if _, err := ParseEnv([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestGrubReadsIt lets GRUB's own editor read a block and change it.
func TestGrubReadsIt(t *testing.T) {
	block, err := Env(sample[:3], 2048)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "grubenv")
	if err := os.WriteFile(name, block, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, tooltest.Command(t, "grub-editenv", name, "set", `words=a\b`, "more=1"))
	if out := run(t, tooltest.Command(t, "grub-editenv", name, "list")); !strings.Contains(out, `words=a\b`) || !strings.Contains(out, "begin=1") {
		t.Errorf("grub-editenv lists %s", out)
	}
	changed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEnv(changed)
	if diff := cmp.Diff(map[string]string{"begin": "1", "words": `a\b`, "empty": "", "more": "1"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func FuzzParseEnv(f *testing.F) {
	f.Add([]byte(envHead + "a=b\n#"))
	f.Fuzz(func(t *testing.T, block []byte) {
		vars, err := ParseEnv(block)
		if err != nil {
			return
		}
		for name, value := range vars {
			again, err := Env([]Variable{{name, value}}, len(block)+4096)
			if err != nil {
				continue // a name that only others write
			}
			if back, err := ParseEnv(again); err != nil || back[name] != value {
				t.Errorf("%q=%q is read back as %q, %v", name, value, back[name], err)
			}
		}
	})
}
