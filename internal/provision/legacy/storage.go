package legacy

import (
	"fmt"
	"path"
	"strings"

	spec2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/v3_1/types"
)

// Bytes of the sectors that sizes of spec 2 are in, and how many make a MiB.
const (
	sectorBytes   = 512
	sectorsPerMiB = 1 << 20 / sectorBytes
)

func (c *converter) disks() {
	for i, d := range c.in.Storage.Disks {
		disk := types.Disk{Device: d.Device, WipeTable: yes(d.WipeTable)}
		for n, p := range d.Partitions {
			disk.Partitions = append(disk.Partitions, c.partition(i, n, p))
		}
		c.out.Storage.Disks = append(c.out.Storage.Disks, disk)
	}
	for _, r := range c.in.Storage.Raid {
		c.out.Storage.Raid = append(c.out.Storage.Raid, types.Raid{
			Name: r.Name, Level: r.Level, Devices: words[types.Device](r.Devices),
			Spares: number(r.Spares), Options: words[types.RaidOption](r.Options),
		})
	}
}

func (c *converter) partition(disk, n int, p spec2.Partition) types.Partition {
	at := []any{"storage", "disks", disk, "partitions", n}
	if (p.Size != nil || p.Start != nil) && (p.SizeMiB != nil || p.StartMiB != nil) {
		c.fail(key(at)+" has sizes in sectors and in MiB", "keep sizeMiB and startMiB", at...)
	}
	return types.Partition{
		Label: p.Label, Number: p.Number, GUID: text(p.GUID), TypeGUID: text(p.TypeGUID),
		SizeMiB: c.inMiB(p.SizeMiB, p.Size, at, "size"), StartMiB: c.inMiB(p.StartMiB, p.Start, at, "start"),
		WipePartitionEntry: yes(p.WipePartitionEntry), ShouldExist: p.ShouldExist,
	}
}

// inMiB turns a length in sectors into MiB, if there is one.
func (c *converter) inMiB(mib, sectors *int, at []any, field string) *int {
	if sectors == nil || mib != nil {
		return mib
	}
	at = append(at[:len(at):len(at)], field)
	c.from(key(append(at[:len(at)-1:len(at)-1], field+"MiB")), at...)
	if *sectors%sectorsPerMiB != 0 {
		c.fail(fmt.Sprintf("%s: %d sectors of %d bytes are no whole number of MiB", key(at), *sectors, sectorBytes),
			fmt.Sprintf("write a multiple of %d, such as %d, or spec 2.3.0 and %sMiB", sectorsPerMiB, max(*sectors/sectorsPerMiB, 1)*sectorsPerMiB, field), at...)
	}
	out := *sectors / sectorsPerMiB
	return &out
}

// filesystems finds the place of each file system and plans those that are
// not mounted yet. The root file system keeps its place.
func (c *converter) filesystems() {
	c.mounts = map[string]string{"root": "/"}
	suffix, nameless := 0, 0
	for i, fs := range c.in.Storage.Filesystems {
		if fs.Name == "" {
			nameless++
			fs.Name = fmt.Sprintf("ignition%d", nameless)
		}
		if fs.Path != nil {
			c.mounts[fs.Name] = *fs.Path
		} else if c.mounts[fs.Name] == "" {
			suffix++
			c.mounts[fs.Name] = fmt.Sprintf("/tmp/%s-ign%d", fs.Name, suffix)
			if isOEM(fs.Name) {
				c.mounts[fs.Name] = "/oem"
			}
		}
		c.filesystem(i, fs)
	}
}

func isOEM(name string) bool { return strings.EqualFold(name, "oem") }

func (c *converter) filesystem(i int, fs spec2.Filesystem) {
	at := []any{"storage", "filesystems", i}
	object := "file system " + fs.Name
	switch {
	case fs.Mount == nil && fs.Path == nil:
		c.fail(object+" has neither mount nor path", "give one of the two", at...)
	case fs.Mount != nil && fs.Path != nil:
		c.fail(object+" has both mount and path", "keep one of the two", at...)
	}
	if fs.Mount == nil {
		return
	}
	out := types.Filesystem{
		Device: fs.Mount.Device, Format: text(fs.Mount.Format), Label: fs.Mount.Label, UUID: fs.Mount.UUID,
		WipeFilesystem: yes(fs.Mount.WipeFilesystem), Options: words[types.FilesystemOption](fs.Mount.Options),
	}
	if fs.Name != "root" && fs.Mount.Format != "swap" {
		out.Path = text(c.mounts[fs.Name])
	}
	if fs.Mount.Create != nil {
		c.create(object, fs.Mount, &out, append(at, "mount", "create"))
	}
	to := entry("storage.filesystems", len(c.out.Storage.Filesystems))
	c.from(to, append(at[:3:3], "mount")...)
	c.from(to+".path", append(at[:3:3], "name")...)
	c.out.Storage.Filesystems = append(c.out.Storage.Filesystems, out)
}

// create reads the older form of wiping and of options.
func (c *converter) create(object string, m *spec2.Mount, out *types.Filesystem, at []any) {
	switch {
	case m.WipeFilesystem:
		c.fail(object+" has both create and wipeFilesystem", "keep wipeFilesystem", at...)
	case len(m.Options) > 0:
		c.fail(object+" has options in mount and in create", "keep those in mount", at...)
	case !m.Create.Force:
		c.fail(object+": create without force cannot be told from keeping what is there", "set force, or drop create", at...)
	}
	out.WipeFilesystem = yes(m.Create.Force)
	out.Options = words[types.FilesystemOption](m.Create.Options)
}

// node converts what files, directories and links have in common.
func (c *converter) node(kind string, n spec2.Node, at ...any) types.Node {
	mount, known := c.mounts[n.Filesystem]
	switch {
	case n.Filesystem == "":
		c.fail(fmt.Sprintf("%s %s: the file system is missing", kind, n.Path), `write "filesystem": "root"`, at...)
	case !known && isOEM(n.Filesystem):
		mount = "/oem"
	case !known:
		c.warn(fmt.Sprintf("%s %s: there is no file system %s here, so the path is taken as it is", kind, n.Path, n.Filesystem),
			`write "filesystem": "root", or define the file system`, append(at, "filesystem")...)
	}
	out := types.Node{Path: n.Path, Overwrite: n.Overwrite}
	if mount != "" && mount != "/" && path.IsAbs(n.Path) {
		out.Path = path.Join(mount, n.Path)
	}
	if n.User != nil {
		out.User = types.NodeUser{ID: n.User.ID, Name: text(n.User.Name)}
	}
	if n.Group != nil {
		out.Group = types.NodeGroup{ID: n.Group.ID, Name: text(n.Group.Name)}
	}
	return out
}

// directories and links that are given twice are those of the last entry.
func (c *converter) directories() {
	index := map[string]int{}
	for i, d := range c.in.Storage.Directories {
		at := []any{"storage", "directories", i}
		out := types.Directory{
			Node:               c.node("directory", d.Node, at...),
			DirectoryEmbedded1: types.DirectoryEmbedded1{Mode: c.mode("directory", d.Path, d.Mode, at)},
		}
		c.out.Storage.Directories = put(c, c.out.Storage.Directories, index, out.Path, out, at)
	}
}

func (c *converter) links() {
	index := map[string]int{}
	for i, l := range c.in.Storage.Links {
		at := []any{"storage", "links", i}
		out := types.Link{
			Node:          c.node("link", l.Node, at...),
			LinkEmbedded1: types.LinkEmbedded1{Hard: yes(l.Hard), Target: l.Target},
		}
		c.out.Storage.Links = put(c, c.out.Storage.Links, index, out.Path, out, at)
	}
}

// put adds an entry to a list, in the place of an earlier one of that path.
func put[T any](c *converter, list []T, index map[string]int, name string, value T, at []any) []T {
	n, again := index[name]
	if again {
		c.warn(name+" is given before, and this entry replaces that one", "drop one of the two", append(at, "path")...)
		list[n] = value
	} else {
		n, index[name] = len(list), len(list)
		list = append(list, value)
	}
	c.from(entry(key(at[:2]), n), at...)
	return list
}

// mode is 0000 if it is unset in a version that had no way to leave it unset.
func (c *converter) mode(kind, name string, mode *int, at []any) *int {
	none := 0
	if mode == nil && c.minor < 2 {
		mode = &none
	}
	if mode != nil && *mode == 0 {
		c.warn(fmt.Sprintf("%s %s: the mode is missing or 0, so nobody but root may read it", kind, name), "set mode, 420 is 0644", at...)
	}
	return mode
}
