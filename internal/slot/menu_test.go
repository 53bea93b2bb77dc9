package slot

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/grub"
)

func entry(file string) Entry {
	n, _ := ParseName("wellcar-" + file + ".efi")
	return Entry{Name: n, Linux: Span{100, 200}, Initrd: Span{10, 90}, Words: "root=LABEL=ROOT", Console: "console=tty0"}
}

func menu(t *testing.T, files ...string) map[string]string {
	t.Helper()
	var entries []Entry
	for _, f := range files {
		entries = append(entries, entry(f))
	}
	block, err := grub.Env(Menu(entries, "mine=1"), 4096)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := grub.ParseEnv(block)
	if err != nil || !Whole(vars) {
		t.Fatalf("%v: %v", vars, err)
	}
	return vars
}

func TestMenu(t *testing.T) {
	for _, c := range []struct{ files, want string }{
		{"1.0.0", "1.0.0[] []"},
		{"1.0.0 2.0.0+3", "2.0.0[III] 1.0.0[]"},
		{"1.0.0 2.0.0+1-2", "2.0.0[--I] 1.0.0[]"},
		{"1.0.0 2.0.0+0-3", "1.0.0[] 2.0.0[---]"},
		{"2.0.0+0-0 1.0.0+3", "1.0.0[III] 2.0.0[]"},
		{"2.0.0+0 1.0.0", "1.0.0[] 2.0.0[-]"},
		{"1.0.0 2.0.0+300 0.9.0", "2.0.0[IIIIIIIIIIIIIII] 1.0.0[]"},
	} {
		v := menu(t, strings.Fields(c.files)...)
		if got := v["version_1"] + "[" + v["tries_1"] + "] " + v["version_2"] + "[" + v["tries_2"] + "]"; got != c.want {
			t.Errorf("%s: %s, want %s", c.files, got, c.want)
		}
	}
	v := menu(t, "1.0.0", "2.0.0+3")
	want := map[string]string{"file_1": "wellcar-2.0.0+3.efi", "linux_1": "100+200", "initrd_1": "10+90", "words_1": "root=LABEL=ROOT", "console_1": "console=tty0", "added": "mine=1"}
	for name, value := range want {
		if v[name] != value {
			t.Errorf("%s is %q, want %q", name, v[name], value)
		}
	}
	if again := menu(t, "1.0.0", "2.0.0+2-1"); again["begin"] == v["begin"] {
		t.Error("two menus cannot be told apart")
	}
}

func TestCounted(t *testing.T) {
	for _, c := range []struct{ file, tries, want string }{
		{"2.0.0+3", "III", ""},
		{"2.0.0+3", "-II", "rename wellcar-2.0.0+3.efi to wellcar-2.0.0+2-1.efi"},
		{"2.0.0+2-1", "---", "rename wellcar-2.0.0+2-1.efi to wellcar-2.0.0+0-3.efi"},
		{"2.0.0+0-3", "---", ""},
		{"2.0.0+1-300", "---------------I", ""},
		{"2.0.0", "-", ""},
		{"2.0.0+0", "-", ""},
		{"2.0.0+1", "-------", "rename wellcar-2.0.0+1.efi to wellcar-2.0.0+0-7.efi"},
	} {
		vars := menu(t, "1.0.0", c.file)
		vars["tries_1"] = c.tries
		got := ""
		for _, change := range Counted(vars) {
			got += change.String()
		}
		if got != c.want {
			t.Errorf("%s with %s: %q, want %q", c.file, c.tries, got, c.want)
		}
	}
	if got := Counted(map[string]string{"file_1": "../x", "tries_1": "-"}); got != nil {
		t.Error(got)
	}
}

func TestApply(t *testing.T) {
	a, b, c := Name{Version: "1"}, Name{Version: "2"}, Name{Version: "3"}
	got := Apply([]Kernel{{Name: a}, {Name: b}}, []Change{{From: a, To: &c}, {From: b}, {From: b}})
	if diff := cmp.Diff([]Kernel{{Name: c}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadEntryOfOthers(t *testing.T) {
	if _, err := ReadEntry(Name{Version: "1"}, bytes.NewReader([]byte("MZ"))); err == nil || !strings.Contains(err.Error(), "wellcar-1.efi") {
		t.Error(err)
	}
	words, console := splitConsole(" a=1 console=tty0  b console=ttyS0,115200n8 ")
	if words != "a=1 b" || console != "console=tty0 console=ttyS0,115200n8" {
		t.Errorf("%q, %q", words, console)
	}
}
