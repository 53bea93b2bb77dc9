package bootargs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/layout"
)

func TestEdit(t *testing.T) {
	for _, c := range []struct {
		line, add, remove, want string
	}{
		{"", "a", "", "a"},
		{"a  b", "b|c", "", "a b c"},
		{"a b c", "", "b", "a c"},
		{"a b a b", "", "a b", ""},
		{"a c b", "a b", "", "a c b a b"},
		{`x="a b" c`, `x="a b"`, "c", `x="a b"`},
		{"a", "a", "a", "a"},
		{"a b", "", " ", "a b"},
	} {
		if got := Edit(c.line, list(c.add), list(c.remove)); got != c.want {
			t.Errorf("%q with %q without %q is %q, want %q", c.line, c.add, c.remove, got, c.want)
		}
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// machine is one with the settings and the stub given.
func machine(t *testing.T, settings string) Boot {
	dir := t.TempDir()
	b := Boot{ESP: filepath.Join(dir, "esp"), OEM: filepath.Join(dir, "oem"), Stub: filepath.Join(dir, "stub"), Image: "root=LABEL=ROOT quiet", Running: "root=LABEL=ROOT quiet"}
	for _, d := range []string{b.ESP, b.OEM} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, b.Stub, petest.Stub())
	write(t, b.settings(), []byte(settings))
	return b
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestChange(t *testing.T) {
	b := machine(t, "# mine\nset linux_append=\"$linux_append old keep\"\n")
	out, err := b.Change([]string{"nosmt=force", "quiet"}, []string{"old"})
	if err != nil || !out.Changed || len(out.Missing) != 1 || len(out.Left) > 0 {
		t.Fatal(out, err)
	}
	text, _ := os.ReadFile(b.settings())
	if want := "# mine\nset linux_append=\"$linux_append keep nosmt=force\"\n"; string(text) != want {
		t.Errorf("settings\n%s, want\n%s", text, want)
	}
	if line, err := b.AddOn(); err != nil || line != "keep nosmt=force" {
		t.Errorf("the add-on has %q, %v", line, err)
	}
	b.Running += " keep nosmt=force"
	if out, err = b.Change([]string{"nosmt=force"}, []string{"old"}); err != nil || out.Changed || len(out.Missing)+len(out.Left) > 0 {
		t.Errorf("the second time: %v %v", out, err)
	}
	if out, err = b.Change(nil, []string{"quiet"}); err != nil || out.Changed || len(out.Missing)+len(out.Left) > 0 {
		t.Errorf("a word of the image: %v %v", out, err)
	}
	if out, err = b.Change(nil, []string{"keep", "nosmt=force"}); err != nil || !out.Changed || len(out.Left) != 2 {
		t.Errorf("taking all away: %v %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(b.ESP, layout.KernelAddOn)); !os.IsNotExist(err) {
		t.Errorf("an add-on without words: %v", err)
	}
}

func TestSync(t *testing.T) {
	b := machine(t, "set oem_id=gce\nset linux_append=a\n")
	if changed, err := b.Sync(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if line, _ := b.AddOn(); line != "flatcar.oem.id=gce a" {
		t.Errorf("the add-on has %q", line)
	}
	if changed, err := b.Sync(); err != nil || changed {
		t.Error(changed, err)
	}
	write(t, b.addOn(), []byte("damaged"))
	if changed, err := b.Sync(); err != nil || !changed {
		t.Error("a damaged add-on:", changed, err)
	}
	if err := os.Remove(b.settings()); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Sync(); err != nil || changed {
		t.Error("without settings:", changed, err)
	}
}

// TestMake: what is made for an image is what its first boot would make.
func TestMake(t *testing.T) {
	b := machine(t, "set oem_id=gce\n")
	made, err := Make(petest.Stub(), "flatcar.oem.id=gce")
	if err != nil || Line(made) != "flatcar.oem.id=gce" {
		t.Fatalf("%q, %v", Line(made), err)
	}
	if err := os.MkdirAll(filepath.Dir(b.addOn()), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, b.addOn(), made)
	if changed, err := b.Sync(); err != nil || changed {
		t.Error("the first boot changes it:", changed, err)
	}
	write(t, b.addOn(), nil)
	if changed, err := b.Sync(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if own, err := os.ReadFile(b.addOn()); err != nil || !bytes.Equal(own, made) {
		t.Error("the machine's own differs:", err)
	}
}

func TestWithoutOEM(t *testing.T) {
	b := machine(t, "")
	b.OEM = ""
	for _, want := range []string{"a b", "a b c"} {
		if out, err := b.Change([]string{"a b", want[len(want)-1:]}, nil); err != nil || !out.Changed {
			t.Fatal(out, err)
		}
		if line, _ := b.AddOn(); line != want {
			t.Errorf("the add-on has %q, want %q", line, want)
		}
	}
}

func TestContradiction(t *testing.T) {
	for _, settings := range []string{"", "set linux_append=a\n"} {
		b := machine(t, settings)
		out, err := b.Change([]string{"a b"}, []string{"b"})
		if text, _ := os.ReadFile(b.settings()); err == nil || out.Changed || string(text) != settings {
			t.Errorf("%q: %v, %v, and then %q", settings, out, err, text)
		}
	}
}

func TestFollows(t *testing.T) {
	for _, c := range []struct {
		running, before, now string
		want                 bool
	}{
		{"x a b", "", "a b", true},
		{"x b y a", "", "a b", true}, // GRUB has another order
		{"x a", "", "a b", false},
		{"x a", "a", "", false},
		{"x a", "b", "", true},
		{"x", "", "", true},
	} {
		if got := Follows(c.running, c.before, c.now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestTooLong(t *testing.T) {
	b := machine(t, "")
	if out, err := b.Change([]string{strings.Repeat("x", limit)}, nil); err == nil || out.Changed {
		t.Error("a line that the kernel would cut was taken:", out)
	}
	if text, _ := os.ReadFile(b.settings()); len(text) > 0 {
		t.Errorf("the settings have %d bytes of it", len(text))
	}
}
