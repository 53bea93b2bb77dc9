package provision_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// TestBrokenConfigs reads configs that cannot work, each with the sentence
// that want.txt has for it. The programs of the host and of the machine are
// held to the same sentences by their own tests.
func TestBrokenConfigs(t *testing.T) {
	names, err := filepath.Glob("testdata/broken/*.ign")
	if err != nil || len(names) < 40 {
		t.Fatal(len(names), err)
	}
	var got strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(firstSentence(filepath.Base(name), data) + "\n")
	}
	golden(t, "testdata/broken/want.txt", got.String())
}

func firstSentence(name string, data []byte) string {
	c, report := provision.Load(name, data, provision.LoadOptions{})
	if err := report.Err(); err != nil {
		return err.Error()
	}
	if _, err := c.Plan(provision.DefaultFacts()); err != nil {
		return err.Error()
	}
	return name + ": no problem"
}

// TestImageAccounts compares what plans take for the image's accounts with
// what the image is built from.
func TestImageAccounts(t *testing.T) {
	text, err := os.ReadFile("../../image/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	facts := provision.DefaultFacts()
	var missing []string
	section := facts.Groups
	users := map[string]int{}
	for _, a := range facts.Users {
		users[a.Name] = a.UID
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "users:") {
			section = users
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "- {name: ")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, ",")
		if _, ok := section[name]; !ok {
			missing = append(missing, name)
		}
	}
	if diff := cmp.Diff([]string(nil), missing); diff != "" {
		t.Errorf("accounts of the image that imageaccounts.go does not have:\n%s", diff)
	}
}
