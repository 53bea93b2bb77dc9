// Package wellcar holds the rules that no package may break.
package wellcar

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "wellcar.dev"

// A stratum may import those in its list (and its own kind where named).
var strata = map[string][]string{
	"internal/format":  {"internal/format"},
	"internal/lock":    {"internal/format"},
	"internal/layout":  {"internal/format"},
	"internal/release": {"internal/format"},
	"internal/slot":    {"internal/format"},
	"internal/report":  {"internal/format"},
	"internal/sys":     {"internal/format", "internal/sys"},
	// What the initrd and the provisioning both change, on directories they give.
	"internal/bootargs": {"internal/format", "internal/sys", "internal/layout"},
}

var facts = []string{"internal/format", "internal/sys", "internal/lock", "internal/layout", "internal/release", "internal/slot", "internal/report", "internal/bootargs"}

// Engines may import facts and their own subpackages, not each other.
var engines = []string{"internal/archive", "internal/image", "internal/initrd", "internal/network", "internal/provision", "internal/update", "internal/server", "internal/qemu", "internal/page", "internal/cloudinit", "internal/metadata", "internal/sshkeys"}

// What format packages must not reach, and why.
var impure = map[string]string{
	"os": "format packages are pure bytes", "os/exec": "format packages are pure bytes", "net": "format packages are pure bytes",
	"golang.org/x/sys/unix": "format packages are pure bytes", "log": "format packages are pure bytes",
	"syscall": "format packages are pure bytes",
}

// What only the host knows: the programs of the image are not to carry it.
var hostOnly = []string{"internal/provision/butane", "internal/provision/clc", "internal/provision/unitcheck", "internal/provision/preview"}

func TestImportDirections(t *testing.T) {
	eachImport(t, func(file, pkg, target string) {
		if strings.HasPrefix(pkg, "internal/") && allowedFor(pkg) == nil {
			t.Errorf("%s is in none of the lists above: give it a place there", pkg)
		}
		checkImport(t, file, pkg, target)
	})
}

// Imports below build constraints count whatever the system: what is reached
// under none of them is in no image.
func TestImageLeavesOutWhatIsOfTheHost(t *testing.T) {
	imports := map[string][]string{}
	eachImport(t, func(_, pkg, target string) {
		if rel, ours := strings.CutPrefix(target, module+"/"); ours {
			imports[pkg] = append(imports[pkg], rel)
		}
	})
	for _, program := range []string{"cmd/wellcard", "cmd/wellcar-init"} {
		if len(imports[program]) == 0 {
			t.Errorf("%s imports nothing of ours: is it there?", program)
		}
		for pkg, way := range reached(program, imports) {
			if below(pkg, hostOnly) {
				t.Errorf("%s is in the image: %s", pkg, way)
			}
		}
	}
	for _, pkg := range hostOnly {
		if len(imports[pkg]) == 0 {
			t.Errorf("%s imports nothing of ours: is it there?", pkg)
		}
	}
}

// reached are the packages that one leads to, each with a way to it.
func reached(from string, imports map[string][]string) map[string]string {
	ways := map[string]string{from: from}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		for _, target := range imports[next[0]] {
			if ways[target] == "" {
				ways[target] = ways[next[0]] + " -> " + target
				next = append(next, target)
			}
		}
	}
	return ways
}

// eachImport shows what the files of this tree import, tests left out.
func eachImport(t *testing.T, do func(file, pkg, target string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			target, _ := strconv.Unquote(imp.Path.Value)
			do(name, path.Dir(filepath.ToSlash(name)), target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImport(t *testing.T, file, pkg, target string) {
	if strings.HasPrefix(pkg, "internal/format") {
		if why := impure[target]; why != "" {
			t.Errorf("%s imports %s: %s", file, target, why)
		}
	}
	rel, ours := strings.CutPrefix(target, module+"/")
	if !ours {
		if target == "os/exec" && !mayRun(pkg) {
			t.Errorf("%s imports os/exec: only sys and qemu run commands", file)
		}
		return
	}
	if strings.HasPrefix(rel, "cmd/") {
		if !strings.HasPrefix(pkg, "cmd/") {
			t.Errorf("%s imports %s: nothing imports a command", file, rel)
		}
		return
	}
	if allowed := allowedFor(pkg); allowed != nil && !below(rel, allowed) {
		t.Errorf("%s imports %s: it may import %s", file, rel, strings.Join(allowed, ", "))
	}
}

func mayRun(pkg string) bool {
	return below(pkg, []string{"internal/sys", "internal/qemu", "cmd", "bench", "test"})
}

// allowedFor is nil for what may import everything, and for what nobody knows.
func allowedFor(pkg string) []string {
	for stratum, allowed := range strata {
		if below(pkg, []string{stratum}) {
			return allowed
		}
	}
	for _, e := range engines {
		if below(pkg, []string{e}) {
			return append([]string{e}, facts...)
		}
	}
	return nil
}

func below(pkg string, dirs []string) bool {
	for _, d := range dirs {
		if pkg == d || strings.HasPrefix(pkg, d+"/") {
			return true
		}
	}
	return false
}
