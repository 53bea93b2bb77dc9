package provision

import (
	"fmt"
	"path"
	"slices"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/storage"
)

// claims are the devices that an array, a volume or a partition table takes
// whole, by one name of each, with what took it. They need no facts.
type claims struct {
	owner   map[string]string // device to "RAID array r (my.bu:20:7)"
	aliases map[string]string // names that the config's own partitions have
	disks   map[string]bool   // disks that have partitions without a number
}

// newClaims enters what the partitions of a config will be called.
func newClaims(c Config) *claims {
	k := &claims{owner: map[string]string{}, aliases: map[string]string{}, disks: map[string]bool{}}
	for _, d := range c.Ignition.Storage.Disks {
		for _, p := range d.Partitions {
			if p.ShouldExist != nil && !*p.ShouldExist {
				continue
			}
			k.name(d.Device, p)
		}
	}
	return k
}

// name enters the names of a partition.
func (k *claims) name(disk string, p types.Partition) {
	disk = path.Clean(disk)
	node := storage.PartitionNode(disk, p.Number)
	if strings.HasPrefix(disk, "/dev/disk/by-") {
		node = fmt.Sprintf("%s-part%d", disk, p.Number)
	}
	if p.Number == 0 {
		k.disks[disk] = true
		node = "/dev/disk/by-partlabel/" + value(p.Label)
	}
	k.aliases[node] = node
	if value(p.Label) != "" {
		k.aliases["/dev/disk/by-partlabel/"+*p.Label] = node
	}
	if value(p.GUID) != "" {
		k.aliases["/dev/disk/by-partuuid/"+strings.ToLower(*p.GUID)] = node
	}
}

// made tells whether a device is a partition that the config makes.
func (k *claims) made(device string) bool {
	name := cleanDevice(device)
	if _, ok := k.aliases[name]; ok {
		return true
	}
	disk := strings.TrimRight(name, "0123456789")
	return k.disks[disk] || k.disks[strings.TrimSuffix(disk, "p")] || k.disks[strings.TrimSuffix(disk, "-part")]
}

// key is the one name of a device that claims are kept under.
func (b *builder) key(device string) string {
	if v := b.volumes.find(device); v != nil {
		return v.node
	}
	name := cleanDevice(device)
	if node, ok := b.claims.aliases[name]; ok {
		return node
	}
	return name
}

// claimed is what a device is to something before in the config: a member of
// RAID array r (my.bu:20:7). Empty: nothing.
func (b *builder) claimed(device string) string { return b.claims.owner[b.key(device)] }

// claim takes a device, or reports at the element who has it.
func (b *builder) claim(p Path, device, as string) bool {
	if was := b.claimed(device); was != "" {
		b.fail(p, fmt.Sprintf("%s is %s", device, was), "take another device, or drop one of the two")
		return false
	}
	b.claims.owner[b.key(device)] = as
	return true
}

// unknownDevice warns of a device that nothing makes: the config does not,
// and it is none of the image's and of those that are known.
func (b *builder) unknownDevice(p Path, device string) {
	name := cleanDevice(device)
	if b.claims.made(name) {
		return
	}
	label, isLabel := strings.CutPrefix(name, "/dev/disk/by-partlabel/")
	shipped := slices.ContainsFunc(layout.Partitions(), func(q layout.Partition) bool { return q.Label == label })
	switch {
	case strings.HasPrefix(name, "/dev/mapper/"):
		b.warn(p, device+" is no LUKS volume of this config, and the image has no such device", "check the name")
	case isLabel && !shipped:
		b.warn(p, fmt.Sprintf("no partition of this config or the image has the label %s, so it must be on the machine already", label), "check the name")
	case b.volumes.facts && !strings.HasPrefix(name, "/dev/disk/by-"):
		b.warn(p, device+" is not there yet, and nothing in the config makes it", "check the name")
	}
}
