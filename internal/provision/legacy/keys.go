package legacy

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// since is the minor version of spec 2 that a key came with, where that is
// not 2.0. Indexes are left out.
var since = map[string]int{
	"ignition.timeouts": 1, "storage.directories": 1, "storage.links": 1, "systemd.units.enabled": 1,
	"storage.disks.partitions.guid": 1, "storage.files.user.name": 1, "storage.files.group.name": 1,
	"storage.filesystems.mount.label": 1, "storage.filesystems.mount.uuid": 1,
	"storage.filesystems.mount.options": 1, "storage.filesystems.mount.wipeFilesystem": 1,
	"passwd.users.uid": 1, "passwd.users.gecos": 1, "passwd.users.homeDir": 1, "passwd.users.noCreateHome": 1,
	"passwd.users.primaryGroup": 1, "passwd.users.groups": 1, "passwd.users.noUserGroup": 1,
	"passwd.users.noLogInit": 1, "passwd.users.shell": 1, "passwd.users.system": 1,

	"ignition.security": 2, "storage.files.append": 2, "storage.raid.options": 2, "networkd.units.dropins": 2,
	"storage.files.overwrite": 2, "storage.directories.overwrite": 2, "storage.links.overwrite": 2,

	"storage.disks.partitions.shouldExist": 3, "storage.disks.partitions.wipePartitionEntry": 3,
	"storage.disks.partitions.sizeMiB": 3, "storage.disks.partitions.startMiB": 3,

	"ignition.proxy": 4, "ignition.config.append.httpHeaders": 4, "ignition.config.replace.httpHeaders": 4,
	"ignition.security.tls.certificateAuthorities.httpHeaders": 4, "storage.files.contents.httpHeaders": 4,
}

// checkKeys warns of keys that the version of the config does not know, and
// takes them out of the tree.
func (c *converter) checkKeys(tree, shape any) {
	c.walkKeys(tree, reflect.TypeOf(shape), nil, "")
}

func (c *converter) walkKeys(node any, shape reflect.Type, at []any, name string) {
	for shape.Kind() == reflect.Pointer {
		shape = shape.Elem()
	}
	switch node := node.(type) {
	case map[string]any:
		if shape.Kind() == reflect.Struct {
			c.walkObject(node, fields(shape), at, name)
		}
	case []any:
		for i := range node {
			if shape.Kind() == reflect.Slice {
				c.walkKeys(node[i], shape.Elem(), append(at[:len(at):len(at)], i), name)
			}
		}
	}
}

func (c *converter) walkObject(node map[string]any, known map[string]reflect.Type, at []any, name string) {
	keys := make([]string, 0, len(node))
	for k := range node {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		place, full := append(at[:len(at):len(at)], k), strings.TrimPrefix(name+"."+k, ".")
		shape, ok := known[k]
		if ok && (c.minor < 0 || since[full] <= c.minor) {
			c.walkKeys(node[k], shape, place, full)
			continue
		}
		note := Note{Path: place, Key: true, Message: fmt.Sprintf("the key %s is not known here and is ignored", key(place)),
			Remedy: "check its spelling and place, and the version of the config"}
		if ok {
			note.Message = fmt.Sprintf("the key %s is ignored in spec 2.%d.0", key(place), c.minor)
			note.Remedy = fmt.Sprintf("write version 2.%d.0", since[full])
		}
		c.notes = append(c.notes, note)
		delete(node, k)
	}
}

// fields are those of a struct and of what it embeds, by their JSON name.
func fields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag != "":
			out[tag] = f.Type
		case f.Anonymous:
			for k, v := range fields(f.Type) {
				out[k] = v
			}
		}
	}
	return out
}
