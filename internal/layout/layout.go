// Package layout is the disk of a machine: partition numbers, labels, types,
// fixed ids and sizes, and the paths that more than one program knows. It is the
// only copy; builder, initrd, installer and updater import it.
//
// Source: the Flatcar disk layout as users see it (labels, numbers and type
// GUIDs are part of the compatibility surface), sizes of October 2025.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// SectorSize is the logical block size that the image is laid out for, bytes.
const SectorSize = 512

// Align is the alignment of each partition, bytes.
const Align = 2 << 20

// ImageDiskGUID is the disk GUID of every image; the first boot replaces it.
const ImageDiskGUID = "00000000-0000-0000-0000-000000000001"

// Partition is one entry of the table.
type Partition struct {
	Number int
	Label  string
	Type   string // GUID
	GUID   string // fixed partition GUID, or "" for one derived from the image
	Size   int64  // bytes in the image
}

// The partition numbers, which user scripts rely on.
const (
	ESP       = 1
	BIOSBoot  = 2
	UsrA      = 3
	UsrB      = 4
	OEM       = 6
	OEMConfig = 7
	Root      = 9
)

// Type GUIDs.
const (
	TypeESP      = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	TypeBIOSBoot = "21686148-6449-6e6f-744e-656564454649"
	TypeUsr      = "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6"
	TypeData     = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	TypeReserved = "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0"
	TypeRoot     = "3884dd41-8582-4404-b9a8-e9b84f2df50e" // grown to the end of the disk
	TypeRootRAID = "be9067b9-ea49-4f15-b4f6-f36f8c9e1818"
)

// Fixed partition GUIDs of the two slots.
const (
	GUIDUsrA = "7130c94a-213a-4e5a-8e26-6cce9662f132"
	GUIDUsrB = "e03dd35c-7c2d-4a47-b3fe-27f15780a57c"
)

// BIOSBootLabel is the label of the partition for GRUB's core image.
const BIOSBootLabel = "BIOS-BOOT"

const mib = 1 << 20

// Partitions is the table of a new disk, in the order of the disk.
func Partitions() []Partition {
	return []Partition{
		{ESP, "EFI-SYSTEM", TypeESP, "", 1024 * mib},
		{BIOSBoot, BIOSBootLabel, TypeBIOSBoot, "", 2 * mib},
		{UsrA, "USR-A", TypeUsr, GUIDUsrA, 2048 * mib},
		{UsrB, "USR-B", TypeUsr, GUIDUsrB, 2048 * mib},
		{OEM, "OEM", TypeData, "", 1024 * mib},
		{OEMConfig, "OEM-CONFIG", TypeReserved, "", 64 * mib},
		{Root, "ROOT", TypeRoot, "", 2200 * mib},
	}
}

// UKIPath is where the unified kernel image of a version lies on the ESP.
// A positive tries adds systemd-boot's counter: "+3" (Boot Loader
// Specification, "Boot counting").
func UKIPath(version string, tries int) string {
	if tries > 0 {
		return fmt.Sprintf("EFI/Linux/wellcar-%s+%d.efi", version, tries)
	}
	return fmt.Sprintf("EFI/Linux/wellcar-%s.efi", version)
}

// The loader that firmware of UEFI starts: its place on the EFI system
// partition, and what it is a copy of, below /usr.
const (
	DefaultLoader = "EFI/BOOT/BOOTX64.EFI"
	SystemdBoot   = "lib/systemd/boot/efi/systemd-bootx64.efi"
)

// What GRUB reads on the EFI system partition when a BIOS starts the disk.
const (
	GrubConfig    = "wellcar/grub.cfg"
	GrubEnv       = "wellcar/grubenv" // which kernel is first, and starts counted
	GrubEnvBackup = "wellcar/grubenv.bak"
	GrubEnvSize   = 4096 // bytes of each
)

// TakeoverState is on the EFI system partition while the system that ran before
// ours came can still be started (package update/takeover).
const TakeoverState = "EFI/wellcar/takeover.json"

// Files of a boot, below the root. The first is there if the version that runs
// is on trial and restarts lead back from it, the second once its trial has
// begun. The units wellcar-trial in the image read both.
const (
	OnTrial = "run/wellcar/trial"
	Judging = "run/wellcar/judging"
)

// GrubDir is where /usr keeps what GRUB is installed from, GrubFiles.
const GrubDir = "usr/lib/wellcar/grub"

// GrubFiles are the boot code, the core image and the configuration.
var GrubFiles = [3]string{"boot.img", "core.img", "grub.cfg"}

// AddonGlob matches the files on the EFI system partition whose words are
// added to every kernel's command line (systemd-stub(7), "addons").
const AddonGlob = "loader/addons/*.addon.efi"

// FirstBootFlags are the files on the ESP whose presence makes the next boot
// a first boot; the first is the one we write.
var FirstBootFlags = []string{"flatcar/first_boot", "coreos/first_boot"}

// NetworkUp is the line by which the program that stays with the network of the
// first boot says that it is usable.
const NetworkUp = "network: up"

// Words that the owner of a machine adds to the kernel command line, whatever
// the version: the settings on the OEM partition, and the add-on on the EFI
// system partition that is made of them (systemd-stub(7)).
const (
	BootSettings  = "grub.cfg"
	KernelAddOn   = "loader/addons/wellcar.addon.efi"
	AddOnStub     = "lib/systemd/boot/efi/addonx64.efi.stub" // below /usr: what an add-on is made of
	KernelCmdline = "share/wellcar/cmdline"                  // below /usr: the words of the image, but for the root hash
)

// UsrLinks are the names at the root that are links into /usr, "bin" into
// "usr/bin" (file-hierarchy(7)).
var UsrLinks = []string{"bin", "lib", "lib64", "sbin"}

// VerityUUID is the UUID in the verity superblock of a /usr image with the
// given root hash. The initrd, which knows only the root hash, recognises the
// right slot by it.
func VerityUUID(rootHash [32]byte) [16]byte {
	return uuidFrom("wellcar verity superblock", rootHash[:])
}

// DerivedGUID is a GUID that depends only on its inputs, for everything in an
// image that needs one and must come out the same in each build.
func DerivedGUID(purpose string, input []byte) [16]byte { return uuidFrom(purpose, input) }

func uuidFrom(purpose string, input []byte) [16]byte {
	sum := sha256.Sum256(append([]byte(purpose+"\x00"), input...))
	var u [16]byte
	copy(u[:], sum[:16])
	u[6] = u[6]&0x0f | 0x80 // version 8 (RFC 9562, 5.8)
	u[8] = u[8]&0x3f | 0x80
	return u
}

// FormatUUID writes 16 bytes in RFC 9562 order.
func FormatUUID(u [16]byte) string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
