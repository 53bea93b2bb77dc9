package legacy

import (
	"net/url"
	"path"

	spec2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/v3_1/types"

	"wellcar.dev/internal/format/unitfile"
)

// files converts the files one by one. What is given twice is done in its
// order: a file replaces the one before it with all that was appended, an
// appended text joins it.
func (c *converter) files() {
	index := map[string]int{}
	for i, f := range c.in.Storage.Files {
		at := []any{"storage", "files", i}
		file := c.file(f, at)
		n, again := index[file.Path]
		if !again {
			n = len(c.out.Storage.Files)
			index[file.Path] = n
			c.out.Storage.Files = append(c.out.Storage.Files, types.File{})
		}
		before := &c.out.Storage.Files[n]
		if again && f.Append {
			c.appendTo(before, file, n, at)
			continue
		}
		if again {
			c.warn("file "+file.Path+" is given before, and this entry replaces that one", "drop one of the two", append(at, "path")...)
		}
		*before = file
		c.from(entry("storage.files", n), at...)
		if f.Append {
			c.from(entry(entry("storage.files", n)+".append", 0), append(at, "contents")...)
		}
	}
}

// appendTo joins an appended text to a file of the same path.
func (c *converter) appendTo(before *types.File, file types.File, n int, at []any) {
	to := entry(entry("storage.files", n)+".append", len(before.Append))
	c.from(to, append(at, "contents")...)
	before.Append = append(before.Append, file.Append...)
	if file.Mode != nil {
		before.Mode = file.Mode
	}
	before.User, before.Group = over(before.User, file.User), over(before.Group, file.Group)
}

func (c *converter) file(f spec2.File, at []any) types.File {
	out := types.File{Node: c.node("file", f.Node, at...)}
	out.Mode = f.Mode
	if !f.Append {
		out.Mode = c.mode("file", f.Path, f.Mode, at)
	}
	contents := reference(f.Contents.Source, f.Contents.HTTPHeaders, f.Contents.Verification)
	contents.Compression = text(f.Contents.Compression)
	overwrite := !f.Append
	switch {
	case f.Append && f.Overwrite != nil && *f.Overwrite:
		c.fail("file "+f.Path+" has both append and overwrite", "keep one of the two", at...)
	case f.Overwrite != nil && !f.Append:
		overwrite = *f.Overwrite
	}
	out.Overwrite = &overwrite
	if f.Append {
		out.Append = []types.Resource{contents}
	} else {
		out.Contents = contents
	}
	return out
}

// Where network units and their drop-ins are written.
const networkDir = "/etc/systemd/network"

func (c *converter) networkUnits() {
	for i, u := range c.in.Networkd.Units {
		at := []any{"networkd", "units", i}
		switch path.Ext(u.Name) {
		case ".link", ".netdev", ".network":
		default:
			c.fail("network unit "+u.Name+": the name has no suffix of a network unit", "end it with .network, .netdev or .link", append(at, "name")...)
		}
		if u.Contents != "" {
			c.networkFile("network unit "+u.Name, u.Name, u.Contents, at)
		}
		for n, d := range u.Dropins {
			at := append(at[:3:3], "dropins", n)
			if path.Ext(d.Name) != ".conf" {
				c.fail("drop-in "+d.Name+" of network unit "+u.Name+": the name does not end in .conf", "rename it to NAME.conf", append(at, "name")...)
			}
			c.networkFile("drop-in "+d.Name+" of network unit "+u.Name, path.Join(u.Name+".d", d.Name), d.Contents, at)
		}
	}
}

func (c *converter) networkFile(object, name, contents string, at []any) {
	at = at[:len(at):len(at)]
	if _, fault := unitfile.Fault(contents); fault != "" {
		c.fail(object+": bad unit syntax: "+fault, "write [Section] lines and Name=value lines", append(at, "contents")...)
	}
	mode, overwrite, source := 0o644, true, "data:,"+url.PathEscape(contents)
	to := entry("storage.files", len(c.out.Storage.Files))
	c.from(to, at...)
	c.from(to+".contents.source", append(at, "contents")...)
	c.from(to+".path", append(at, "name")...)
	file := types.File{Node: types.Node{Path: path.Join(networkDir, name), Overwrite: &overwrite}}
	file.Mode, file.Contents.Source = &mode, &source
	c.out.Storage.Files = append(c.out.Storage.Files, file)
}
