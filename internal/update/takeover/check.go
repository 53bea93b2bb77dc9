//go:build linux

package takeover

import (
	"errors"
	"fmt"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
)

// Facts are what is found on the old system.
type Facts struct {
	UEFI, SecureBoot bool
	GRUB             error  // why a BIOS cannot start ours, if it started this machine
	Device           string // the slot's partition
	Partition        int    // its number
	DeviceSize       int64  // bytes
	ESP              string // device of partition 1 of the same disk; "" if it is none
	ESPMounted       string // device that is mounted where the kernel was put
	ESPFree          int64  // bytes
	KernelSize       int64  // of the kernel that was put there
	KernelHash       string
	LoaderSize       int64  // of ours, bytes
	OldLoaderSize    int64  // of what lies in EFI/boot, bytes
	RootType         string // file system of /
}

// rootTypes are what the new system can start from.
var rootTypes = map[string]bool{"ext4": true, "xfs": true, "btrfs": true}

// Check says all that is in the way, each with a remedy. Nothing was changed
// by us when it is asked.
func (f Facts) Check(t release.Takeover) error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(f.GRUB != nil, "the machine was started by BIOS, and GRUB has no place: %v: install anew, or switch the machine to UEFI first", f.GRUB)
	fault(f.SecureBoot, "Secure Boot is on, and the firmware does not know the signature of the new loader: switch Secure Boot off first")
	fault(f.Partition != layout.UsrA && f.Partition != layout.UsrB, "%s is partition %d, not USR-A (3) or USR-B (4)", f.Device, f.Partition)
	fault(f.DeviceSize < t.UsrSize+t.TreeSize, "the new /usr needs %d bytes, %s has %d: install anew", t.UsrSize+t.TreeSize, f.Device, f.DeviceSize)
	fault(f.ESP == "", "partition 1 beside %s is no EFI system partition: install anew", f.Device)
	fault(f.ESP != "" && f.ESP != f.ESPMounted, "the new kernel was put on %s, not on the EFI system partition %s: mount that on /boot", orNothing(f.ESPMounted), f.ESP)
	fault(f.KernelSize != t.UKISize || f.KernelHash != t.UKIHash, "the new kernel is not the one that belongs to %s: start the update again", t.Version)
	need := 2*f.LoaderSize + f.OldLoaderSize + margin
	fault(f.ESPFree < need, "the EFI system partition needs %d KiB of free room, and has %d: delete files that you put on /boot", need>>10, f.ESPFree>>10)
	fault(!rootTypes[f.RootType], "the root file system is %s, and the new system starts from ext4, xfs and btrfs: install anew", orNothing(f.RootType))
	return errors.Join(faults...)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing known"
	}
	return s
}
