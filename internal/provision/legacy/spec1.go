package legacy

import (
	"encoding/json"
	"fmt"

	spec1 "github.com/flatcar/ignition/config/v1/types"
	spec2 "github.com/flatcar/ignition/config/v2_4/types"
	"github.com/vincent-petithory/dataurl"
)

// readSpec1 reads a config of spec 1 as one of spec 2. Of the sections only
// storage differs in more than names: files stand below their file system,
// with their contents as they are.
func (c *converter) readSpec1(data []byte) error {
	var old spec1.Config
	if err := json.Unmarshal(data, &old); err != nil {
		return err
	}
	// The other sections have the same keys, so that they can be read as spec 2.
	rest := struct {
		Systemd  *spec2.Systemd
		Networkd *spec2.Networkd
		Passwd   *spec2.Passwd
	}{&c.in.Systemd, &c.in.Networkd, &c.in.Passwd}
	if err := json.Unmarshal(data, &rest); err != nil {
		return err
	}
	c.first = map[string][]any{}
	c.disksOfSpec1(old.Storage)
	for i, fs := range old.Storage.Filesystems {
		c.filesystemOfSpec1(i, fs)
	}
	return nil
}

func (c *converter) disksOfSpec1(old spec1.Storage) {
	for _, d := range old.Disks {
		disk := spec2.Disk{Device: string(d.Device), WipeTable: d.WipeTable}
		for _, p := range d.Partitions {
			label, size, start := string(p.Label), int(p.Size), int(p.Start)
			disk.Partitions = append(disk.Partitions, spec2.Partition{
				Label: text(label), Number: p.Number, Size: &size, Start: &start, TypeGUID: string(p.TypeGUID),
			})
		}
		c.in.Storage.Disks = append(c.in.Storage.Disks, disk)
	}
	for _, a := range old.Arrays {
		c.in.Storage.Raid = append(c.in.Storage.Raid, spec2.Raid{
			Name: a.Name, Level: a.Level, Spares: a.Spares, Devices: words[spec2.Device](a.Devices),
		})
	}
}

func (c *converter) filesystemOfSpec1(i int, old spec1.Filesystem) {
	fs := spec2.Filesystem{
		Name:  fmt.Sprintf("_translate-filesystem-%d", i),
		Mount: &spec2.Mount{Device: string(old.Device), Format: string(old.Format)},
	}
	if old.Create != nil {
		fs.Mount.Create = &spec2.Create{Force: old.Create.Force, Options: words[spec2.CreateOption](old.Create.Options)}
	}
	c.first[key([]any{"storage", "filesystems", i, "mount"})] = []any{"storage", "filesystems", i}
	c.in.Storage.Filesystems = append(c.in.Storage.Filesystems, fs)
	for n, f := range old.Files {
		at := []any{"storage", "filesystems", i, "files", n}
		c.first[key([]any{"storage", "files", len(c.in.Storage.Files)})] = at
		c.first[key([]any{"storage", "files", len(c.in.Storage.Files), "contents", "source"})] = append(at[:len(at):len(at)], "contents")
		c.in.Storage.Files = append(c.in.Storage.Files, fileOfSpec1(fs.Name, f))
	}
}

func fileOfSpec1(filesystem string, old spec1.File) spec2.File {
	mode, uid, gid := int(old.Mode), old.Uid, old.Gid
	return spec2.File{
		Node: spec2.Node{
			Filesystem: filesystem, Path: string(old.Path),
			User: &spec2.NodeUser{ID: &uid}, Group: &spec2.NodeGroup{ID: &gid},
		},
		FileEmbedded1: spec2.FileEmbedded1{
			Mode:     &mode,
			Contents: spec2.FileContents{Source: "data:," + dataurl.EscapeString(old.Contents)},
		},
	}
}
