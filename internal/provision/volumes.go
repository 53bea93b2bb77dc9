package provision

import (
	"fmt"
	"path"
	"strings"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/provision/partition"
	"wellcar.dev/internal/sys/storage"
)

// volume is a block device as a plan sees it at some point of the steps.
type volume struct {
	node    string
	known   bool       // whether the content is
	content probe.Info // before the step that looks
	use     string
	made    bool // by a step of the plan
}

// volumes are the devices of a plan, by each name that a config can give
// them. Names that nobody foresees are not there.
type volumes struct {
	byName map[string]*volume
	facts  bool // anything is known of disks at all
}

func newVolumes(facts []DiskFact) *volumes {
	v := &volumes{byName: map[string]*volume{}, facts: len(facts) > 0}
	for _, d := range facts {
		v.addDisk(d, d.Table)
	}
	return v
}

// addDisk enters a disk and the partitions of a table on it.
func (v *volumes) addDisk(d DiskFact, t gpt.Table) {
	disk := &volume{node: d.Node, known: true, content: d.Content, use: d.Use}
	for _, name := range append([]string{d.Device, d.Node}, d.Also...) {
		v.byName[name] = disk
	}
	v.nameContent(disk)
	for _, p := range t.Partitions {
		part := &volume{node: storage.PartitionNode(d.Node, p.Number), known: true}
		if found, ok := d.Partition(p.Number); ok {
			part.content, part.use = found.Content, found.Use
		}
		v.namePartition(d, p, part)
	}
}

func (v *volumes) namePartition(d DiskFact, p gpt.Partition, part *volume) {
	v.byName[part.node] = part
	for _, name := range append([]string{d.Device}, d.Also...) {
		if name != d.Node { // by-id and by-path names of partitions
			v.byName[fmt.Sprintf("%s-part%d", name, p.Number)] = part
		}
	}
	if p.Name != "" {
		v.byName["/dev/disk/by-partlabel/"+p.Name] = part
	}
	if p.GUID != (gpt.GUID{}) {
		v.byName["/dev/disk/by-partuuid/"+p.GUID.String()] = part
	}
	v.nameContent(part)
}

// nameContent enters a device under the names that its content has.
func (v *volumes) nameContent(x *volume) {
	if x.content.Label != "" && x.content.Usage != probe.RAID {
		v.byName["/dev/disk/by-label/"+x.content.Label] = x
	}
	if x.content.UUID != "" && x.content.Usage != probe.Table {
		v.byName["/dev/disk/by-uuid/"+strings.ToLower(x.content.UUID)] = x
	}
}

// partitioned enters what a step makes of a disk.
func (v *volumes) partitioned(d DiskFact, r partition.Result) {
	for name, x := range v.byName { // what the old table named
		if strings.HasPrefix(x.node, d.Node) && x.node != d.Node {
			delete(v.byName, name)
		}
	}
	v.addDisk(d, r.Table)
	for _, c := range r.Changes {
		if c.Kind != partition.Create && c.Kind != partition.Replace {
			continue
		}
		part := &volume{node: storage.PartitionNode(d.Node, c.After.Number), made: true}
		part.content, part.known = leftover(d, c.After)
		v.namePartition(d, c.After, part)
	}
}

// leftover is what lay at the place of a new partition, which shows it again.
func leftover(d DiskFact, p gpt.Partition) (content probe.Info, known bool) {
	if d.Peek == nil {
		return probe.Info{}, d.Content.Type == ""
	}
	sector := int64(d.SectorSize)
	content, err := d.Peek(int64(p.First)*sector, int64(p.Sectors())*sector)
	return content, err == nil
}

// find is the volume of a name, or nil.
func (v *volumes) find(device string) *volume {
	return v.byName[cleanDevice(device)]
}

// cleanDevice is a name of a device as plans compare it.
func cleanDevice(device string) string {
	name := path.Clean(device)
	if dir, base := path.Split(name); dir == "/dev/disk/by-uuid/" || dir == "/dev/disk/by-partuuid/" {
		name = dir + strings.ToLower(base)
	}
	if id, ok := strings.CutPrefix(name, "/dev/disk/by-id/dm-name-"); ok {
		name = "/dev/mapper/" + id
	}
	return name
}

// make enters a device that a step makes: an array or an open volume.
func (v *volumes) make(name string) {
	v.byName[name] = &volume{node: name, made: true}
}

// fill enters what a step puts on a device.
func (v *volumes) fill(device string, content probe.Info) {
	if x := v.find(device); x != nil {
		x.known, x.content = true, content
		v.nameContent(x)
	}
}

// describeContent is a content in words: an ext4 file system (label ROOT).
func describeContent(c probe.Info) string {
	words := map[string]string{"crypto_LUKS": "a LUKS volume", "linux_raid_member": "a member of a RAID array", "LVM2_member": "an LVM physical volume",
		"swap": "swap space", "gpt": "a partition table", "dos": "an MBR partition table"}[c.Type]
	if words == "" {
		article := "a"
		if strings.IndexByte("aeioux", c.Type[0]) >= 0 {
			article = "an"
		}
		words = article + " " + c.Type + " file system"
	}
	if c.Label != "" {
		words += " (label " + c.Label + ")"
	}
	return words
}
