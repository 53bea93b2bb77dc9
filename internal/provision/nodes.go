package provision

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// Modes of what is made without one.
const (
	defaultFileMode = 0o644
	defaultDirMode  = 0o755
)

// Owner is a user or group by id or by name of the target. The zero value
// leaves what is there: root for something new.
type Owner struct {
	ID   *int   `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

func (o Owner) or(unset string) string {
	switch {
	case o.ID != nil:
		return fmt.Sprint(*o.ID)
	case o.Name != "":
		return o.Name
	}
	return unset
}

// Node is what files, directories and links have in common.
type Node struct {
	Path      string `json:"path"`
	User      Owner  `json:"user,omitzero"`
	Group     Owner  `json:"group,omitzero"`
	Mode      *int   `json:"mode,omitempty"`      // 0..07777; nil: the default if new, else kept
	Overwrite bool   `json:"overwrite,omitempty"` // remove what is there first

	resolved string // Path with the links of the target followed, set by Apply
}

func (n *Node) node() *Node { return n }

// noder is an action that makes something at a path.
type noder interface {
	Action
	node() *Node
	hard() bool
}

// MakeDirectory makes a directory, or keeps the one that is there.
type MakeDirectory struct{ Node }

// WriteFile writes a file. Without content the one that is there is kept, or
// an empty one made.
type WriteFile struct {
	Node
	Content *Content `json:"content,omitempty"`
}

// AppendFile adds to the end of a file. Taken again it adds again.
type AppendFile struct {
	Path    string   `json:"path"`
	Content *Content `json:"content"`
}

// Link makes a symbolic link, or keeps an equal one.
type Link struct {
	Node
	Target string `json:"target"`
}

// HardLink gives a file inside the target another name.
type HardLink struct {
	Node
	Target string `json:"target"`
}

// Kind implements Action.
func (*MakeDirectory) Kind() string { return "makeDirectory" }

// Kind implements Action.
func (*WriteFile) Kind() string { return "writeFile" }

// Kind implements Action.
func (*AppendFile) Kind() string { return "appendFile" }

// Kind implements Action.
func (*Link) Kind() string { return "link" }

// Kind implements Action.
func (*HardLink) Kind() string { return "hardLink" }

// Summary implements Action.
func (a *MakeDirectory) Summary() Summary {
	return Summary{"make", "made", "directory", a.Path, join(a.access(defaultDirMode), a.wipe())}
}

// Summary implements Action.
func (a *WriteFile) Summary() Summary {
	if a.Content == nil {
		return Summary{"keep or create", "kept or created", "file", a.Path, a.access(defaultFileMode)}
	}
	return Summary{"write", "wrote", "file", a.Path, join(a.access(defaultFileMode), a.Content.String(), a.wipe())}
}

// Summary implements Action.
func (a *AppendFile) Summary() Summary {
	return Summary{"append to", "appended to", "file", a.Path, a.Content.String()}
}

// Summary implements Action.
func (a *Link) Summary() Summary {
	return Summary{"make", "made", "link", a.Path, join("to "+a.Target, a.owners(), a.wipe())}
}

// Summary implements Action.
func (a *HardLink) Summary() Summary {
	return Summary{"make", "made", "hard link", a.Path, join("to "+a.Target, a.wipe())}
}

func (n Node) owners() string {
	if n.User == (Owner{}) && n.Group == (Owner{}) {
		return ""
	}
	return n.User.or("root") + ":" + n.Group.or("root")
}

func (n Node) access(mode int) string {
	if n.Mode != nil {
		mode = *n.Mode
	}
	return fmt.Sprintf("%04o %s:%s", mode, n.User.or("root"), n.Group.or("root"))
}

func (n Node) wipe() string { return flag(n.Overwrite, "replacing what is there") }

func (*MakeDirectory) hard() bool { return false }
func (*WriteFile) hard() bool     { return false }
func (*Link) hard() bool          { return false }
func (*HardLink) hard() bool      { return true }

// entry is one element of the config with its steps.
type entry struct {
	at    Path
	main  noder
	after []Step
}

// nodes plans directories, files and symbolic links by depth, then hard links.
func (b *builder) nodes() {
	var entries []entry
	s := b.Ignition.Storage
	for i, d := range s.Directories {
		p := Path{"storage", "directories", i}
		entries = append(entries, entry{at: p, main: &MakeDirectory{nodeOf(d.Node, d.Mode)}})
	}
	for i, f := range s.Files {
		entries = append(entries, b.file(Path{"storage", "files", i}, f))
	}
	for i, l := range s.Links {
		p, n := Path{"storage", "links", i}, nodeOf(l.Node, nil)
		e := entry{at: p, main: &Link{n, *l.Target}}
		if util.IsTrue(l.Hard) {
			e.main = &HardLink{n, *l.Target}
		}
		entries = append(entries, e)
	}
	sort.SliceStable(entries, func(i, j int) bool {
		return nodeBefore(entries[i].main, entries[j].main, entries[i].main.node().Path, entries[j].main.node().Path)
	})
	b.checkNesting(entries)
	for _, e := range entries {
		b.checkPlace(e)
		b.add(StageFiles, e.at, e.main)
		b.steps = append(b.steps, e.after...)
	}
}

// nodeBefore orders two nodes at two paths.
func nodeBefore(a, c noder, pathA, pathC string) bool {
	if a.hard() != c.hard() {
		return c.hard()
	}
	return !a.hard() && depth(pathA) < depth(pathC)
}

func depth(name string) int {
	if name = path.Clean(name); name == "/" {
		return 0
	}
	return strings.Count(name, "/")
}

func (b *builder) file(p Path, f types.File) entry {
	w := &WriteFile{Node: nodeOf(f.Node, f.Mode)}
	if f.Contents.Source != nil {
		w.Content = b.content(f.Contents, p.with("contents"))
	}
	e := entry{at: p, main: w}
	for i, res := range f.Append {
		at := p.with("append", i)
		if content := b.content(res, at); content != nil {
			e.after = append(e.after, Step{StageFiles, b.Position(at...), &AppendFile{f.Path, content}})
		}
	}
	return e
}

func nodeOf(n types.Node, mode *int) Node {
	out := Node{Path: n.Path, Mode: mode, Overwrite: util.IsTrue(n.Overwrite)}
	out.User = ownerOf(n.User.ID, n.User.Name)
	out.Group = ownerOf(n.Group.ID, n.Group.Name)
	return out
}

func ownerOf(id *int, name *string) Owner {
	o := Owner{ID: id}
	if name != nil {
		o.Name = *name
	}
	return o
}
