package layout

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
)

// TestTable compares with what users' scripts and old disks rely on: numbers,
// labels, types, the slots' GUIDs, and sizes in MiB.
func TestTable(t *testing.T) {
	want := []Partition{
		{1, "EFI-SYSTEM", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "", 1024},
		{2, "BIOS-BOOT", "21686148-6449-6e6f-744e-656564454649", "", 2},
		{3, "USR-A", "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6", "7130c94a-213a-4e5a-8e26-6cce9662f132", 2048},
		{4, "USR-B", "5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6", "e03dd35c-7c2d-4a47-b3fe-27f15780a57c", 2048},
		{6, "OEM", "0fc63daf-8483-4772-8e79-3d69d8477de4", "", 1024},
		{7, "OEM-CONFIG", "c95dc21a-df0e-4340-8d7b-26cbfa9a03e0", "", 64},
		{9, "ROOT", "3884dd41-8582-4404-b9a8-e9b84f2df50e", "", 2200},
	}
	got := Partitions()
	for i := range got {
		got[i].Size /= mib
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTableInvariants(t *testing.T) {
	const (
		smallestDisk = 10_000_000_000 // bytes, that an image must fit on
		smallestRoot = 3653632 * 512  // bytes, as the layout that users know has it
	)
	seen := map[any]bool{}
	once := func(what any) {
		if seen[what] {
			t.Errorf("%v is there twice", what)
		}
		seen[what] = true
	}
	var total int64
	partitions := Partitions()
	for i, p := range partitions {
		once(p.Number)
		once(p.Label)
		if i > 0 && p.Number < partitions[i-1].Number {
			t.Errorf("%s: its number %d is not in the order of the disk", p.Label, p.Number)
		}
		if p.Size <= 0 || p.Size%Align != 0 {
			t.Errorf("%s: %d bytes are no multiple of the alignment", p.Label, p.Size)
		}
		if _, err := gpt.ParseGUID(p.Type); err != nil {
			t.Errorf("%s: its type: %v", p.Label, err)
		}
		if p.GUID != "" {
			once(p.GUID)
			if _, err := gpt.ParseGUID(p.GUID); err != nil {
				t.Errorf("%s: its GUID: %v", p.Label, err)
			}
		}
		total += p.Size
	}
	if last := partitions[len(partitions)-1]; last.Number != Root || last.Size < smallestRoot {
		t.Errorf("%s with %d bytes is last: it must be ROOT, which grows", last.Label, last.Size)
	}
	if total+2*Align > smallestDisk {
		t.Errorf("the image has %d bytes and fits no disk of %d", total, int64(smallestDisk))
	}
	if Align%SectorSize != 0 {
		t.Errorf("the alignment %d is no multiple of a sector", Align)
	}
	if _, err := gpt.ParseGUID(ImageDiskGUID); err != nil {
		t.Error(err)
	}
}

// TestUUIDsAreStable holds values that released images carry: an initrd finds
// its /usr by them, so they never change.
func TestUUIDsAreStable(t *testing.T) {
	var counted [32]byte
	for i := range counted {
		counted[i] = byte(i)
	}
	for _, c := range []struct {
		what string
		got  [16]byte
		want string
	}{
		{"verity, zeros", VerityUUID([32]byte{}), "e3c9aeae-67fd-86bb-8152-915a065e2343"},
		{"verity, counted", VerityUUID(counted), "e6a165a0-7516-8be1-bdd7-0c1bb724b93c"},
		{"purpose", DerivedGUID("purpose", []byte("input")), "e286b89a-5095-80c3-9f1a-fe74cea41c5e"},
		{"other purpose", DerivedGUID("purpos", []byte("einput")), "3c8da7eb-9cbb-88fc-8f71-7455ad3e8b4a"},
	} {
		if got := FormatUUID(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if c.got[6]>>4 != 8 || c.got[8]>>6 != 2 {
			t.Errorf("%s: %x is of no version 8 UUID", c.what, c.got)
		}
	}
}

func TestUKIPath(t *testing.T) {
	for tries, want := range map[int]string{
		0: "EFI/Linux/wellcar-1.2.3.efi", -1: "EFI/Linux/wellcar-1.2.3.efi", 3: "EFI/Linux/wellcar-1.2.3+3.efi",
	} {
		if got := UKIPath("1.2.3", tries); got != want {
			t.Errorf("%d tries: %s, want %s", tries, got, want)
		}
	}
}
