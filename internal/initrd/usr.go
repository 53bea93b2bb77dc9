//go:build linux

package initrd

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
)

// Slot is a partition that may hold a /usr image, and what was found on it.
type Slot struct {
	Device     blockdev.Device
	Superblock verity.Superblock // zero if there is no image
	State      string            // in words, when there is no image
}

// inspectSlot reads from a partition which image it holds.
func inspectSlot(dev blockdev.Device, r io.ReaderAt) Slot {
	head := make([]byte, erofs.BlockSize)
	if _, err := r.ReadAt(head, 0); err != nil {
		return Slot{Device: dev, State: "unreadable: " + err.Error()}
	}
	size, err := erofs.DataSize(head[erofs.SuperblockOffset:])
	if err != nil {
		if isZero(head) {
			return Slot{Device: dev, State: "blank"}
		}
		return Slot{Device: dev, State: "no EROFS: " + err.Error()}
	}
	if size > dev.Size-verity.BlockSize {
		return Slot{Device: dev, State: fmt.Sprintf("EROFS of %d bytes in a partition of %d", size, dev.Size)}
	}
	if _, err := r.ReadAt(head, size); err != nil {
		return Slot{Device: dev, State: fmt.Sprintf("EROFS, hash tree unreadable: %v", err)}
	}
	sb, err := verity.ReadSuperblock(head)
	switch {
	case errors.Is(err, verity.ErrNoSuperblock):
		return Slot{Device: dev, State: "EROFS without hash tree"}
	case err != nil:
		return Slot{Device: dev, State: "EROFS, " + err.Error()}
	case sb.DataSize() != size:
		return Slot{Device: dev, State: fmt.Sprintf("EROFS of %d bytes with a hash tree for %d", size, sb.DataSize())}
	}
	return Slot{Device: dev, Superblock: sb}
}

// ChooseSlot finds the slot that holds the image with the root hash. The
// superblock's UUID only says where to look: what is read from the slot is
// checked against the root hash itself.
func ChooseSlot(hash [32]byte, slots []Slot) (Slot, error) {
	want := layout.VerityUUID(hash)
	var seen []string
	for _, s := range slots {
		if s.State == "" && s.Superblock.UUID == want {
			return s, nil
		}
		seen = append(seen, s.describe())
	}
	if len(seen) == 0 {
		return Slot{}, fmt.Errorf("no /usr with root hash %x…: there is no USR partition", hash[:6])
	}
	return Slot{}, fmt.Errorf("no /usr with root hash %x… among %s", hash[:6], strings.Join(seen, ", "))
}

// describe is as in "vda3 USR-A (blank)".
func (s Slot) describe() string {
	state := s.State
	if state == "" {
		state = "EROFS, another image: verity UUID " + layout.FormatUUID(s.Superblock.UUID)
	}
	return strings.Join(strings.Fields(s.Device.Name+" "+s.Device.PartName), " ") + " (" + state + ")"
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
