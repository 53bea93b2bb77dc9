package provisiontest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// disks makes one config for two disks.
type disks struct {
	*rand.Rand
	names [2]string // /dev/vdb
	id    int       // makes labels unique
	parts []part    // that a file system may be put on
	raid  []object
	luks  []object
	made  []object // file systems
}

// part is a partition whose size is known.
type part struct {
	device string
	size   int // MiB
}

// Disks is a config that partitions two disks of at least 2 GiB, makes arrays
// and volumes of some partitions and file systems on others. Whether it can be
// done depends on what the disks hold: about every other one leaves something
// of what it finds. Nothing of it is mounted.
func Disks(seed uint64, first, second string) []byte {
	g := &disks{Rand: rand.New(rand.NewPCG(seed, 0x6469736b73)), names: [2]string{first, second}, id: int(seed) * 100}
	var all []object
	for i := range g.names {
		if i == 0 || g.IntN(2) == 0 {
			all = append(all, g.disk(i))
		}
	}
	g.fill()
	text, err := json.MarshalIndent(object{"ignition": object{"version": "3.4.0"},
		"storage": object{"disks": all, "raid": g.raid, "luks": g.luks, "filesystems": g.made}}, "", "  ")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

func (g *disks) one(in int) bool { return g.IntN(in) == 0 }

func (g *disks) disk(i int) object {
	wipe := g.one(2)
	var entries []object
	numbers := g.Perm(8)
	for _, n := range numbers[:g.IntN(5)] {
		entries = append(entries, g.entry(g.names[i], n))
	}
	return object{"device": g.names[i], "wipeTable": wipe, "partitions": entries}
}

var (
	sizes = []int{4, 20, 40, 130, 330}
	types = []string{"0fc63daf-8483-4772-8e79-3d69d8477de4", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "a19d880f-05fc-4d3b-a006-743f0f84911e"}
)

// entry is one of a disk's table. Number 0 is for the first that is free.
func (g *disks) entry(disk string, number int) object {
	if number > 0 && g.one(6) {
		return object{"number": number, "shouldExist": false, "wipePartitionEntry": !g.one(5)}
	}
	g.id++
	label := fmt.Sprintf("part-%d", g.id)
	e := object{"number": number, "label": label, "wipePartitionEntry": !g.one(5)}
	size := sizes[g.IntN(len(sizes))]
	switch {
	case g.one(12): // as large as may be
		e["sizeMiB"] = 0
		size = 0
	case g.one(6):
		size = 0
	default:
		e["sizeMiB"] = size
	}
	if g.one(8) {
		e["startMiB"] = 1 + g.IntN(1500)
	}
	if g.one(2) {
		e["typeGuid"] = types[g.IntN(len(types))]
	}
	if g.one(4) {
		e["guid"] = fmt.Sprintf("00000000-0000-4000-8000-%012x", g.id)
	}
	e["resize"] = g.one(4)
	device := "/dev/disk/by-partlabel/" + label
	if number > 0 && g.one(2) {
		device = fmt.Sprint(disk, number)
	}
	if size > 0 {
		g.parts = append(g.parts, part{device, size})
	}
	return e
}

// fill uses some of the partitions.
func (g *disks) fill() {
	for len(g.parts) > 0 {
		p := g.parts[0]
		g.parts = g.parts[1:]
		switch {
		case g.one(4) && len(g.parts) > 0 && p.size > 4:
			g.array(p)
		case g.one(6) && p.size > 20:
			g.volume(p)
		case !g.one(3):
			g.filesystem(p.device, p.size)
		}
	}
}

// array takes the next partition too.
func (g *disks) array(p part) {
	q := g.parts[0]
	g.parts = g.parts[1:]
	g.id++
	name := fmt.Sprintf("array%d", g.id)
	level, size := "raid1", min(p.size, q.size)
	if g.one(2) {
		level = "raid0"
	}
	g.raid = append(g.raid, object{"name": name, "level": level, "devices": []string{p.device, q.device}})
	g.filesystem("/dev/md/"+name, size)
}

func (g *disks) volume(p part) {
	g.id++
	name := fmt.Sprintf("volume%d", g.id)
	g.luks = append(g.luks, object{"name": name, "device": p.device, "label": fmt.Sprintf("luks%d", g.id), "wipeVolume": true, "keyFile": object{"source": "data:,secret"},
		"options": []string{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}})
	g.filesystem("/dev/mapper/"+name, p.size-17)
}

func (g *disks) filesystem(device string, size int) {
	formats := []string{"ext4", "swap"}
	for _, f := range []struct {
		format string
		least  int // MiB
	}{{"vfat", 20}, {"btrfs", 120}, {"xfs", 310}} {
		if size >= f.least {
			formats = append(formats, f.format)
		}
	}
	g.id++
	f := object{"device": device, "wipeFilesystem": !g.one(4), "format": formats[g.IntN(len(formats))]}
	if g.one(10) {
		f["format"] = "none"
	} else if g.one(2) {
		f["label"] = fmt.Sprintf("FS%d", g.id)
	}
	g.made = append(g.made, f)
}
