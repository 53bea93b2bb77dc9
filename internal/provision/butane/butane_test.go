package butane_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/butane"
)

var update = flag.Bool("update", false, "write the golden files anew")

func load(name, text, dir string) (provision.Config, provision.Report) {
	return provision.Load(name, []byte(text), provision.LoadOptions{Butane: butane.Translate, FilesDir: dir})
}

func TestPlanGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/hello.bu")
	if err != nil {
		t.Fatal(err)
	}
	c, report := load("hello.bu", string(text), "testdata/dir")
	if len(report) > 0 {
		t.Fatal(report)
	}
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	got := provision.Render(plan)
	if *update {
		if err := os.WriteFile("testdata/hello.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/hello.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// What the machine says of the JSON with its source is what the host says of
// the Butane text.
func TestPositionsTravel(t *testing.T) {
	text, err := os.ReadFile("testdata/hello.bu")
	if err != nil {
		t.Fatal(err)
	}
	ign, _, positions := butane.Translate("hello.bu", text, "testdata/dir", false)
	source := provision.NewSource("hello.bu", text, positions)
	host, _ := load("hello.bu", string(text), "testdata/dir")
	machine, report := provision.Load("fw_cfg", ign, provision.LoadOptions{Source: &source})
	if len(report) > 0 {
		t.Fatal(report)
	}
	a, _ := host.Plan(provision.DefaultFacts())
	b, _ := machine.Plan(provision.DefaultFacts())
	if diff := cmp.Diff(provision.Render(a), provision.Render(b)); diff != "" {
		t.Error(diff)
	}
}

func TestBroken(t *testing.T) {
	const v = "variant: flatcar\nversion: 1.1.0\n"
	for name, tc := range map[string]struct{ text, want string }{
		"tab":            {v + "storage:\n\tfiles: []\n", `c.bu:4:1: a tab indents this line, which YAML does not allow; use spaces`},
		"indentation":    {v + "storage:\n  files:\n    - path: /a\n   mode: 1\n", `c.bu:6:4: the text is not valid YAML: did not find expected key; look at the indentation and for a missing colon or quote, there or just before`},
		"flow type":      {v + "storage:\n  files:\n    - {path: /a, mode: rw, overwrite: true}\n", `c.bu:5:24: storage.files[0].mode is the text "rw"; write a whole number without quotes (a mode begins with 0)`},
		"open quote":     {v + "storage:\n  files:\n    - path: \"/a\n      mode: 0644\n", `c.bu:5:5: the text is not valid YAML: found unexpected end of stream; look at the indentation and for a missing colon or quote, there or just before`},
		"two colons":     {v + "storage:\n  files:\n    - path: /a: b\n", `c.bu:5:5: the text is not valid YAML: mapping values are not allowed in this context; look at the indentation and for a missing colon or quote, there or just before`},
		"key twice":      {v + "storage:\n  files: []\n  files: []\n", `c.bu:5:3: mapping key "files" already defined at line 4; keep one of the two`},
		"unknown anchor": {v + "storage: *a\n", `c.bu:3:1: the text is not valid YAML: unknown anchor 'a' referenced; define it before, as &NAME, or put a text that begins with * in quotes`},
		"fcos":           {"variant: fcos\nversion: 1.5.0\n", `c.bu:1:10: variant "fcos" is not that of this system; write variant: flatcar and version: 1.1.0, and drop what belongs to the other system`},
		"no version":     {"variant: flatcar\n", `c.bu:1:1: the version is missing; write version: 1.1.0`},
		"version":        {"variant: flatcar\nversion: 1.5.0\n", `c.bu:2:10: version "1.5.0" of variant flatcar is not known; write 1.0.0, 1.1.0 or 1.2.0-experimental`},
		"mode type":      {v + "storage:\n  files:\n    - path: /a\n      mode: rw\n", `c.bu:6:13: storage.files[0].mode is the text "rw"; write a whole number without quotes (a mode begins with 0)`},
		"list type":      {v + "storage:\n  files:\n    path: /a\n", `c.bu:5:5: storage.files is a mapping; write a list, each entry beginning with -`},
		"bool type":      {v + "storage:\n  files:\n    - path: /a\n      overwrite: maybe\n", `c.bu:6:18: storage.files[0].overwrite is the text "maybe"; write true or false without quotes`},
		"decimal mode":   {v + "storage:\n  files:\n    - path: /a\n      mode: 644\n", `c.bu:6:13: warning: file /a: unreasonable mode would be reasonable if specified in octal; remember to add a leading zero; write it with a leading zero: 0644`},
		"relative path":  {v + "storage:\n  files:\n    - path: etc/a\n", `c.bu:5:13: file etc/a: the path is not absolute; begin it with /`},
		"twice":          {v + "storage:\n  files:\n    - path: /a\n    - path: /a\n", `c.bu:6:7: file /a: it is defined twice; keep one of the entries (the first is at c.bu:5:7)`},
		"under link":     {v + "storage:\n  links:\n    - path: /l\n      target: /t\n  files:\n    - path: /l/a\n", `c.bu:8:7: file /l/a: the path leads through a link of this config; write the path that the link leads to`},
		"bad mode":       {v + "storage:\n  files:\n    - path: /a\n      mode: 010000\n", `c.bu:6:13: file /a: the mode is not between 0 and 07777; in JSON write it in decimal (420 is 0644), in Butane with a leading 0`},
		"unknown key":    {v + "storage:\n  files:\n    - path: /a\n      contnets:\n        inline: x\n", `c.bu:6:7: warning: file /a: the key contnets is not known here and is ignored; check its spelling and indentation, and the version of the config`},
		"no install":     {v + "systemd:\n  units:\n    - name: a.service\n      enabled: true\n      contents: |\n        [Unit]\n", `c.bu:7:17: warning: unit a.service: it is enabled, but has no [Install] section, so nothing would start it; add [Install] with WantedBy=multi-user.target`},
		"unit syntax":    {v + "systemd:\n  units:\n    - name: a.service\n      contents: |\n        [Unit]\n        A=b\n        Description\n", `c.bu:9:9: unit a.service: bad unit syntax: "Description" has no =; write [Section] lines and Name=value lines`},
		"dropin syntax":  {v + "systemd:\n  units:\n    - name: a.service\n      dropins:\n        - name: x.conf\n          contents: |\n            [Unit\n", `c.bu:9:13: drop-in x.conf of unit a.service: bad unit syntax: "[Unit" has no closing bracket; write [Section] lines and Name=value lines`},
		"no files dir":   {v + "storage:\n  files:\n    - path: /a\n      contents:\n        local: x\n", `c.bu:7:16: file /a: local file paths are relative to a files directory that must be specified with -d/--files-dir; name the folder with --files-dir`},
		"two contents":   {v + "storage:\n  files:\n    - path: /a\n      contents:\n        inline: x\n        source: data:,y\n", `c.bu:8:17: file /a: only one of the following can be set: inline, local, source; keep one of inline, local and source`},
		"kargs":          {v + "kernel_arguments:\n  should_exist: [' ']\n", `c.bu:4:18: an empty kernel argument; write a word, or leave the entry out`},
		"top level list": {"- variant: flatcar\n", `c.bu:1:1: the text is no Ignition config, no Butane, no Container Linux Config and no cloud-config; begin Ignition JSON with {"ignition": {"version": "3.4.0"}}, Butane with variant: flatcar`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, first(tc.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func first(text string) string {
	c, report := load("c.bu", text, "")
	if err := report.Err(); err != nil {
		return err.Error()
	}
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		return err.Error()
	}
	for _, p := range append(report, plan.Warnings...) {
		return p.String()
	}
	return ""
}

func TestPlanIsFast(t *testing.T) {
	var b strings.Builder
	b.WriteString("variant: flatcar\nversion: 1.1.0\nstorage:\n  files:\n")
	for i := range 40 {
		fmt.Fprintf(&b, "    - path: /etc/f%d\n      mode: 0644\n      contents:\n        inline: |\n          some text\n", i)
	}
	// The target is 100 ms; a busy machine gets more, and some tries, before
	// this fails.
	var took time.Duration
	for range 5 {
		start := time.Now()
		if got := first(b.String()); got != "" {
			t.Fatal(got)
		}
		if took = time.Since(start); took < time.Second {
			t.Log(took)
			return
		}
	}
	t.Errorf("200 lines took %s", took)
}

func FuzzTranslate(f *testing.F) {
	text, err := os.ReadFile("testdata/hello.bu")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("variant: flatcar\nversion: 1.1.0\nstorage: &a {files: [*a]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, report := load("fuzz", string(data), "")
		if report.Err() == nil {
			c.Plan(provision.DefaultFacts())
		}
	})
}

// TestValidTextsAreQuiet has what the upstream packages remark on although
// nothing is wrong with it.
func TestValidTextsAreQuiet(t *testing.T) {
	text := `variant: flatcar
version: 1.1.0
ignition:
  config:
    merge:
      - inline: '{"ignition": {"version": "3.3.0"}}'
storage:
  files:
    - path: /a
      contents: &c {inline: hi}
    - path: /b
      contents: *c
    - <<: {mode: 0600}
      path: /c
`
	c, report := provision.Load("x.bu", []byte(text), provision.LoadOptions{Butane: butane.Translate})
	if len(report) > 0 {
		t.Error(report)
	}
	if f := c.Ignition.Storage.Files; len(f) != 3 || f[2].Mode == nil || *f[2].Mode != 0o600 {
		t.Error(f)
	}
}

func TestFurtherDocuments(t *testing.T) {
	const one = "variant: flatcar\nversion: 1.1.0\n"
	for text, want := range map[string]string{
		"---\n" + one + "...\n": "", one + "---\n": "", "\ufeff" + one: "",
		one + "---\n" + one:                     "x.bu:4:1: warning: a further YAML document begins here and is ignored",
		one + "storage: {files: [{path: *no}]}": "unknown anchor 'no' referenced; define it before, as &NAME",
	} {
		_, report := load("x.bu", text, "")
		if len(report) > 1 || (len(report) == 0) != (want == "") || want != "" && !strings.Contains(report[0].String(), want) {
			t.Errorf("%q: %v, want %s", text, report, want)
		}
	}
}
