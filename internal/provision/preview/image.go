package preview

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"wellcar.dev/internal/layout"
)

// Kind is what an entry of an image is.
type Kind string

// The kinds of entries.
const (
	Directory Kind = "directory"
	File      Kind = "file"
	Link      Kind = "link"
)

// Entry is a file, folder or link of an image.
type Entry struct {
	Kind   Kind   `json:"kind"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Target string `json:"target,omitempty"`
	Origin string `json:"origin,omitempty"` // package, or where else it came from
}

// Image is the list of what an image has below /usr, and of the defaults that
// it has for /etc. Nil is an image that nothing is known of.
type Image struct{ entries map[string]Entry }

// ReadImage reads the list that a build writes beside the image,
// contents.txt: type, mode, owner, size, hash and path below /usr, then the
// origin after a tab.
func ReadImage(r io.Reader) (*Image, error) {
	image := &Image{map[string]Entry{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, origin, _ := strings.Cut(lines.Text(), "\t")
		fields := strings.SplitN(line, " ", 6)
		if len(fields) < 6 {
			return nil, fmt.Errorf("line %d of the contents of the image: it has %d fields, not 6", n, len(fields))
		}
		e := Entry{Kind: File, SHA256: fields[4], Origin: origin}
		e.Size, _ = strconv.ParseInt(fields[3], 10, 64)
		name := fields[5]
		switch fields[0] {
		case "d":
			e = Entry{Kind: Directory, Origin: origin}
		case "l":
			e = Entry{Kind: Link, Origin: origin}
			name, e.Target, _ = strings.Cut(name, " -> ")
		}
		image.entries["/usr/"+name] = e
	}
	return image, lines.Err()
}

// place is where the image keeps a path of the machine.
func place(name string) string {
	name = path.Clean("/" + name)
	if rest, ok := strings.CutPrefix(name, "/etc/"); ok {
		return "/" + layout.ShippedEtc + "/" + rest
	}
	if top, _, below := strings.Cut(name[1:], "/"); below && slices.Contains(layout.UsrLinks, top) {
		return "/usr" + name
	}
	return name
}

// Find looks a path of the machine up.
func (i *Image) Find(name string) (Entry, bool) {
	if i == nil {
		return Entry{}, false
	}
	e, ok := i.entries[place(name)]
	return e, ok
}

// Follow looks a path up and goes on through links.
func (i *Image) Follow(name string) (Entry, bool) {
	for range 16 {
		e, ok := i.Find(name)
		if !ok || e.Kind != Link {
			return e, ok
		}
		if !path.IsAbs(e.Target) {
			e.Target = path.Join(path.Dir(place(name)), e.Target)
		}
		name = e.Target
	}
	return Entry{}, false
}

// Places in which an image may have units.
var unitDirs = []string{"/etc/systemd/system/", "/usr/lib/systemd/system/"}

// Unit looks for a unit, and for the template of an instance.
func (i *Image) Unit(name string) (Entry, bool) {
	for _, n := range []string{name, template(name)} {
		for _, dir := range unitDirs {
			if e, ok := i.Find(dir + n); ok && n != "" {
				return e, true
			}
		}
	}
	return Entry{}, false
}

// Wanted tells whether a unit is started by a link that the image has.
func (i *Image) Wanted(name string) bool {
	if i == nil {
		return false
	}
	for p := range i.entries {
		dir := path.Base(path.Dir(p))
		if path.Base(p) == name && (strings.HasSuffix(dir, ".wants") || strings.HasSuffix(dir, ".requires")) {
			return true
		}
	}
	return false
}

// template is echo@.service for echo@one.service, else empty.
func template(unit string) string {
	before, rest, found := strings.Cut(unit, "@")
	dot := strings.LastIndexByte(rest, '.')
	if !found || dot <= 0 {
		return ""
	}
	return before + "@" + rest[dot:]
}
