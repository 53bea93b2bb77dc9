package slot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/format/pe"
)

// Span is a part of a file in sectors of 512 bytes, which GRUB reads as a file
// of its own: "183+2758".
type Span struct{ First, Count int64 }

func (s Span) String() string { return fmt.Sprintf("%d+%d", s.First, s.Count) }

// Entry is a kernel as GRUB has to know it, which can read neither its name
// nor its sections.
type Entry struct {
	Name
	Linux, Initrd Span   // within the file
	Words         string // its command line but for the consoles
	Console       string
}

// ReadEntry finds the parts of a unified kernel image.
func ReadEntry(n Name, uki io.ReaderAt) (Entry, error) {
	e := Entry{Name: n}
	places, err := pe.Places(uki)
	if err != nil {
		return e, fmt.Errorf("reading the kernel %s: %w", n.File(), err)
	}
	for _, p := range places {
		span := Span{p.Offset / sectorSize, (p.Size + sectorSize - 1) / sectorSize}
		switch p.Name {
		case ".linux":
			e.Linux = span
		case ".initrd":
			e.Initrd = span
		default:
			continue
		}
		if p.Offset%sectorSize != 0 {
			return e, fmt.Errorf("reading the kernel %s: its section %s begins within a sector, at %d", n.File(), p.Name, p.Offset)
		}
	}
	line, err := pe.Find(uki, ".cmdline")
	if err != nil || e.Linux.Count == 0 || e.Initrd.Count == 0 {
		return e, fmt.Errorf("reading the kernel %s: it lacks a kernel, an initrd or a command line", n.File())
	}
	e.Words, e.Console = splitConsole(strings.TrimRight(string(line), "\x00"))
	return e, nil
}

const sectorSize = 512

// splitConsole takes out the words that linux_console of an owner replaces.
func splitConsole(line string) (words, console string) {
	var others, consoles []string
	for _, w := range strings.Fields(line) {
		if strings.HasPrefix(w, "console=") {
			consoles = append(consoles, w)
		} else {
			others = append(others, w)
		}
	}
	return strings.Join(others, " "), strings.Join(consoles, " ")
}

// maxMarks is the most starts that are told apart.
const maxMarks = 15

// marks writes a counter in a form that a script can count down in without
// changing its length: one "I" for each start left, one "-" for each used.
// What is good has none; what is to come last has no start left.
func marks(n Name) string {
	switch {
	case n.Good():
		return ""
	case n.Unproved:
		return "-"
	}
	return strings.Repeat("-", min(n.Done, maxMarks)) + strings.Repeat("I", min(n.Left, maxMarks))
}

// Menu is what GRUB is to know: the first kernels in their order, and words of
// the owner for all of them. The first and the last variable are equal, so
// that a block of which only a part was written is told from a whole one.
func Menu(entries []Entry, added string) []grub.Variable {
	var kernels []Kernel
	for _, e := range entries {
		kernels = append(kernels, Kernel{Name: e.Name})
	}
	vars := []grub.Variable{{Name: "added", Value: added}}
	for i, k := range Order(kernels) {
		if i == 2 {
			break
		}
		e := entries[slices.IndexFunc(entries, func(e Entry) bool { return e.Name == k.Name })]
		set := func(name, value string) {
			vars = append(vars, grub.Variable{Name: fmt.Sprintf("%s_%d", name, i+1), Value: value})
		}
		set("version", e.Version)
		set("file", e.File())
		set("linux", e.Linux.String())
		set("initrd", e.Initrd.String())
		set("words", e.Words)
		set("console", e.Console)
		set("tries", marks(e.Name))
	}
	id := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%q", vars)))[:16]
	return append(append([]grub.Variable{{Name: "begin", Value: id}}, vars...), grub.Variable{Name: "end", Value: id})
}

// Whole says that all of a block was written.
func Whole(vars map[string]string) bool { return vars["begin"] != "" && vars["begin"] == vars["end"] }

// ReadMenu reads what GRUB goes by, the first of its files that is whole; nil if
// there is none. The error is why one could not be read, if none is whole.
func ReadMenu(read func(name string) ([]byte, error), names ...string) (map[string]string, error) {
	var errs []error
	for _, name := range names {
		block, err := read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("reading GRUB's menu: %w", err))
		}
		if err != nil {
			continue
		}
		if vars, err := grub.ParseEnv(block); err == nil && Whole(vars) {
			return vars, nil
		}
	}
	return nil, errors.Join(errs...)
}

// Counted is how the names of kernels have to change by the starts that GRUB
// counted since the menu was made.
func Counted(vars map[string]string) (changes []Change) {
	for _, i := range []string{"1", "2"} {
		n, ok := ParseName(vars["file_"+i])
		if !ok || n.Good() || n.Unproved {
			continue
		}
		if used := strings.Count(vars["tries_"+i], "-") - min(n.Done, maxMarks); used > 0 {
			changes = append(changes, Change{From: n, To: &Name{Version: n.Version, Counted: true, Left: max(n.Left-used, 0), Done: n.Done + used}})
		}
	}
	return changes
}
