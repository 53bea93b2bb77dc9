//go:build linux

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/report"
)

const brokenConfigs = "../../internal/provision/testdata/broken"

// TestBrokenConfigs gives configs that cannot work to a machine. Each ends
// with the sentence that `wellcar plan` has for it, in a report that shows
// the line, and before the first change.
func TestBrokenConfigs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(brokenConfigs, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(brokenConfigs)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, want := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, _, _ := strings.Cut(want, ":")
		t.Run(name, func(t *testing.T) {
			if name == "below-usr.ign" {
				t.Skip("in a directory, /usr can be written to")
			}
			work := t.TempDir()
			root := brokenRoot(t, work)
			before := tree(t, root)
			code, _, errOut := call("wellcard", "provision", "--root", root, "--config", name, "--record", filepath.Join(work, "provision.json"), "--sync=false")
			lines := strings.Split(strings.TrimSpace(errOut), "\n")
			if last := strings.TrimPrefix(lines[len(lines)-1], "provision: "); code != 1 || last != want {
				t.Errorf("%d\ngot  %s\nwant %s", code, last, want)
			}
			if diff := cmp.Diff(before, tree(t, root)); diff != "" {
				t.Errorf("the machine was changed:\n%s", diff)
			}
			checkReport(t, filepath.Join(work, "report"), want)
		})
	}
}

// checkReport looks for the line of the place in the page.
func checkReport(t *testing.T, file, want string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Failed || r.Sentence != want || !strings.HasPrefix(want, r.At+": ") {
		t.Errorf("the report has %q at %s", r.Sentence, r.At)
	}
	page := strings.Join(report.Page(r, report.Screen{Width: 80}), "\n")
	if !regexp.MustCompile(`\n> +` + strings.Split(r.At, ":")[1] + ` \| .*\n +\| *\^`).MatchString(page) {
		t.Errorf("the page does not show the line of %s:\n%s", r.At, page)
	}
}

func brokenRoot(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "root")
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n", "etc/group": "root:x:0:\ncore:x:500:\n",
		"usr/lib/os-release": "",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func tree(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		out = append(out, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return out
}
