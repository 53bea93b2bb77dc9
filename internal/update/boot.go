//go:build linux

package update

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/efivar"
	"wellcar.dev/internal/update/loader"
	"wellcar.dev/internal/update/takeover"
)

// Boot is the machine's slots and kernels.
type Boot struct {
	ESP  ESP
	Root string // "/" on a machine: where proc, sys and dev are looked for
	// MountUsr shows the /usr that a slot's partition holds in a folder, until
	// it is undone; nil does so under dm-verity.
	MountUsr func(device string, rootHash [32]byte) (dir string, undo func() error, err error)
}

// old is what is left of a system that ran before ours came.
func (b Boot) old() takeover.Boot {
	return takeover.Boot{Dir: b.ESP.Dir, Vars: efivar.Vars{Dir: filepath.Join(b.Root, efivar.Dir)}}
}

// Prioritize makes a slot the next to start, as cgpt prioritize does. A system
// that ran before ours came is started by its own loader.
func (b Boot) Prioritize(s slot.State, id slot.ID) error {
	changes, err := slot.Prioritize(s, id, KeyOf)
	if err != nil && b.oldIn(s, id) {
		return b.old().ChooseOld(true)
	}
	if err == nil {
		err = b.old().ChooseOld(false)
	}
	if err != nil {
		return err
	}
	return b.ESP.Do(changes)
}

// View is how cgpt shows a slot.
func (b Boot) View(s slot.State, id slot.ID) slot.View {
	v := s.Views(KeyOf)[id]
	if b.oldIn(s, id) {
		v.Priority, v.Successful = 1, true
		if b.old().OldFirst() {
			v.Priority = 3 // above the two that ours can have
		}
	}
	return v
}

// oldIn says that a slot holds a system that ran before ours came.
func (b Boot) oldIn(s slot.State, id slot.ID) bool {
	return s.Views(KeyOf)[id].Kernel == nil && b.old().OldSystem()
}

// mapping is the verified /usr in device-mapper.
const mapping = "usr"

// partitionOf is the number of a slot's partition.
func partitionOf(id slot.ID) int {
	if id == slot.B {
		return layout.UsrB
	}
	return layout.UsrA
}

// KeyOf is how the verity superblock of a slot says what it holds.
func KeyOf(rootHash [32]byte) slot.Key { return layout.VerityUUID(rootHash) }

// Devices finds the partitions of both slots on the disk that runs, and which
// of them runs.
func (b Boot) Devices() (parts map[slot.ID]blockdev.Device, booted slot.ID, err error) {
	sysfs := filepath.Join(b.Root, "sys")
	below, err := blockdev.Below(sysfs, mapping)
	if err != nil {
		return nil, "", err
	}
	all, err := blockdev.List(sysfs)
	if err != nil {
		return nil, "", err
	}
	disk := ""
	for _, d := range all {
		if len(below) > 0 && d.Name == below[0] {
			disk = d.Disk
		}
	}
	parts = map[slot.ID]blockdev.Device{}
	for _, id := range []slot.ID{slot.A, slot.B} {
		for _, d := range all {
			if disk != "" && d.Disk == disk && d.Partition == partitionOf(id) {
				parts[id] = d
				if d.Name == below[0] {
					booted = id
				}
			}
		}
	}
	if booted == "" {
		return nil, "", fmt.Errorf("finding the running slot: /usr lies on %v, which is no USR partition", below)
	}
	return parts, booted, nil
}

// loaders are what firmware starts on the disk that runs.
func (b Boot) loaders() (loader.Machine, error) {
	m := loader.Machine{Root: b.Root, ESP: b.ESP.Dir, Synced: b.ESP.Synced}
	parts, booted, err := b.Devices()
	if err != nil {
		return m, err
	}
	all, err := blockdev.List(filepath.Join(b.Root, "sys"))
	for _, d := range all {
		switch {
		case d.Name == parts[booted].Disk:
			m.Disk = d.Path
		case d.Disk == parts[booted].Disk && d.Partition == layout.BIOSBoot && d.PartName == layout.BIOSBootLabel:
			m.BIOSBoot = d
		}
	}
	return m, err
}

// State reads everything that decides about the next start.
func (b Boot) State() (slot.State, error) {
	parts, booted, err := b.Devices()
	if err != nil {
		return slot.State{}, err
	}
	line, err := os.ReadFile(filepath.Join(b.Root, "proc/cmdline"))
	if err != nil {
		return slot.State{}, err
	}
	if err := b.ESP.Fold(); err != nil {
		return slot.State{}, err
	}
	s := slot.State{Booted: booted, Holds: map[slot.ID]slot.Key{}}
	if s.Running, err = RootHash(string(line)); err != nil {
		return s, err
	}
	if s.Kernels, err = b.ESP.Kernels(); err != nil {
		return s, err
	}
	for id, d := range parts {
		if key, ok := held(filepath.Join(b.Root, d.Path)); ok {
			s.Holds[id] = key
		}
	}
	return s, nil
}

// held reads which image a partition holds, if any.
func held(device string) (slot.Key, bool) {
	sb, err := superblock(device)
	if err != nil {
		return slot.Key{}, false
	}
	return slot.Key(sb.UUID), true
}

// superblock reads what stands behind the file system of a slot.
func superblock(device string) (verity.Superblock, error) {
	f, err := os.Open(device)
	if err != nil {
		return verity.Superblock{}, err
	}
	defer f.Close()
	size, err := usrSize(f)
	if err != nil {
		return verity.Superblock{}, err
	}
	head := make([]byte, verity.BlockSize)
	if _, err := f.ReadAt(head, size); err != nil {
		return verity.Superblock{}, err
	}
	sb, err := verity.ReadSuperblock(head)
	if err == nil && sb.DataSize() != size {
		err = fmt.Errorf("the file system of %s has %d bytes, its hash tree is of %d", device, size, sb.DataSize())
	}
	return sb, err
}

// usrSize is the size of the file system in a slot, bytes.
func usrSize(r io.ReaderAt) (int64, error) {
	head := make([]byte, erofs.BlockSize)
	if _, err := r.ReadAt(head, 0); err != nil {
		return 0, err
	}
	return erofs.DataSize(head[erofs.SuperblockOffset:])
}
