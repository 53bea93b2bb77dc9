// Package check finds what would not work, or should not be, in a finished
// tree: libraries that no program would find, scripts and units whose
// programs are missing, dangling links, modes that give away too much, what
// the image promises not to have, and files that are too big. All faults are
// returned, each with the path and the package that brought it.
package check

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/image/glob"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/image/view"
	"wellcar.dev/internal/layout"
)

// Rules are what a recipe allows.
type Rules struct {
	Setuid   []string // paths that may be setuid or setgid
	FileSize int64    // bytes of any file; 0 is no limit
}

// Violation is one fault.
type Violation struct {
	Path    string // in the tree
	Origin  string // package or overlay file
	Message string
}

func (v Violation) String() string { return fmt.Sprintf("%s (%s): %s", v.Path, v.Origin, v.Message) }

// Errors is a report of all violations of a tree.
type Errors []Violation

func (e Errors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checking the tree: %d faults", len(e))
	for _, v := range e {
		b.WriteString("\n  " + v.String())
	}
	return b.String()
}

// Tree runs all checks. Facts are by content; files without an entry are
// taken to be neither programs nor scripts.
func Tree(t *fstree.Tree, facts map[[32]byte]unpacked.Facts, rules Rules) (Errors, error) {
	c := &checker{view: view.View{Tree: t}, nodes: t.Nodes(), facts: facts, rules: rules}
	c.libraries = c.libraryDirs()
	c.setuid = map[string]bool{}
	for _, p := range rules.Setuid {
		c.setuid[p] = true
	}
	for _, n := range c.nodes {
		c.modes(n)
		c.forbidden(n)
		switch n.Kind {
		case fstree.Symlink:
			c.link(n)
		case fstree.File:
			c.file(n)
		case fstree.CharDevice, fstree.BlockDevice, fstree.Fifo:
			c.fault(n, "is a %s, which /usr cannot hold", n.Kind)
		}
	}
	if err := c.units(); err != nil {
		return nil, err
	}
	sort.SliceStable(c.faults, func(i, j int) bool { return fstree.Less(c.faults[i].Path, c.faults[j].Path) })
	return c.faults, nil
}

type checker struct {
	view      view.View
	nodes     []*fstree.Node
	facts     map[[32]byte]unpacked.Facts
	rules     Rules
	setuid    map[string]bool
	libraries []string // default folders of the dynamic loader, on the machine
	faults    Errors
}

func (c *checker) fault(n *fstree.Node, format string, args ...any) {
	c.faults = append(c.faults, Violation{n.Path, n.Origin, fmt.Sprintf(format, args...)})
}

func (c *checker) modes(n *fstree.Node) {
	if n.Kind == fstree.Symlink {
		return
	}
	if n.Kind == fstree.File && n.Mode&0o6000 != 0 && !c.setuid[n.Path] {
		c.fault(n, "has mode %04o: setuid and setgid files must be in the recipe's setuid list", n.Mode)
	}
	if n.Mode&0o002 != 0 && (n.Kind != fstree.Dir || n.Mode&0o1000 == 0) {
		c.fault(n, "has mode %04o: everybody could write to it", n.Mode)
	}
}

// never are things that the image promises not to have.
var never = []promise{
	{pattern("usr/{bin,sbin}/perl*"), "Perl"},
	{pattern("usr/{bin,sbin}/python*"), "Python"},
	{pattern("usr/lib/python3*"), "Python"},
	{pattern("usr/{bin,sbin}/{apt,apt-*,dpkg,dpkg-*,aptitude}"), "a package manager"},
	{pattern("usr/{bin,sbin}/{man,mandb}"), "a manual reader"},
	{pattern("usr/{bin,sbin}/{cc,gcc,c++}"), "a compiler"},
	{pattern("usr/share/man/*"), "manual pages"},
}

type promise struct {
	pattern glob.Pattern
	what    string
}

func pattern(text string) glob.Pattern {
	p, err := glob.Compile(text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}

func (c *checker) forbidden(n *fstree.Node) {
	if n.Kind == fstree.Dir {
		return
	}
	for _, p := range never {
		if p.pattern.Match(n.Path) {
			c.fault(n, "is %s, which the image does not have", p.what)
			return
		}
	}
}

func (c *checker) link(n *fstree.Node) {
	if n.Target == "/dev/null" {
		return
	}
	if _, outcome := c.view.ResolveLink(n); outcome == view.Missing {
		c.fault(n, "is a link to %s, which does not exist", n.Target)
	}
}

func (c *checker) file(n *fstree.Node) {
	if limit := c.rules.FileSize; limit > 0 && n.Blob.Size > limit {
		c.fault(n, "has %d bytes, more than the %d that a file may have", n.Blob.Size, limit)
	}
	f, ok := c.facts[n.Blob.SHA256]
	if !ok {
		return
	}
	if f.Interpreter != "" && (f.ELF || n.Mode&0o111 != 0) {
		c.interpreter(n, f.Interpreter)
	}
	for _, needed := range f.Needed {
		if !c.library(n, f, needed) {
			c.fault(n, "needs the library %s, which no folder has that the loader searches", needed)
		}
	}
}

// interpreter checks "#! program argument"; of env, the argument.
func (c *checker) interpreter(n *fstree.Node, line string) {
	program, argument, _ := strings.Cut(line, " ")
	if path.Base(program) == "env" && argument != "" && !strings.HasPrefix(argument, "-") {
		program = argument
	}
	if !c.program(program) {
		c.fault(n, "is run by %s, which does not exist", program)
	}
}

// program reports whether a program given by path or name will be there.
func (c *checker) program(name string) bool {
	if path.IsAbs(name) {
		_, outcome := c.view.Resolve(name)
		return outcome != view.Missing
	}
	for _, dir := range []string{"/usr/bin/", "/usr/sbin/"} {
		if _, outcome := c.view.Resolve(dir + name); outcome == view.Found {
			return true
		}
	}
	return false
}

func (c *checker) library(n *fstree.Node, f unpacked.Facts, needed string) bool {
	if strings.Contains(needed, "/") {
		return c.program(needed)
	}
	here := "/" + path.Dir(view.OnMachine(n.Path))
	for _, dir := range f.Runpath {
		dir = strings.NewReplacer("${ORIGIN}", here, "$ORIGIN", here, "$LIB", "lib/x86_64-linux-gnu").Replace(dir)
		if c.hasLibrary(dir, needed, f.Class32) {
			return true
		}
	}
	for _, dir := range c.libraries {
		if c.hasLibrary(dir, needed, f.Class32) {
			return true
		}
	}
	return false
}

func (c *checker) hasLibrary(dir, name string, class32 bool) bool {
	n, outcome := c.view.Resolve(dir + "/" + name)
	if outcome == view.Runtime {
		return true
	}
	return outcome == view.Found && n.Kind == fstree.File && c.facts[n.Blob.SHA256].Class32 == class32
}

// libraryDirs are the loader's own folders and those of ld.so.conf.d.
func (c *checker) libraryDirs() []string {
	dirs := []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"}
	for _, n := range c.nodes {
		if n.Kind != fstree.File || !strings.HasPrefix(n.Path, layout.ShippedEtc+"/ld.so.conf") {
			continue
		}
		text, err := n.Blob.Bytes()
		if err != nil {
			continue // the writer of the image will say so
		}
		for _, line := range strings.Split(string(text), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				dirs = append(dirs, line)
			}
		}
	}
	return dirs
}
