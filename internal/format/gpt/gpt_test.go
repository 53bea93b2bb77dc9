package gpt

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

const mib = 1 << 20

// memory is a disk.
type memory []byte

func (m memory) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(m)) {
		return 0, io.ErrShortWrite
	}
	return copy(m[off:], p), nil
}

func (m memory) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(m).ReadAt(p, off) }

func sample(sectorSize int, size int) Table {
	at := func(m int) uint64 { return uint64(m * mib / sectorSize) }
	return Table{
		DiskGUID:   MustGUID("00000000-0000-0000-0000-000000000001"),
		SectorSize: sectorSize,
		Sectors:    uint64(size / sectorSize),
		Partitions: []Partition{
			{Number: 1, Type: MustGUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), GUID: MustGUID("01020304-0506-0708-090a-0b0c0d0e0f10"), Name: "EFI-SYSTEM", First: at(2), Last: at(4) - 1, Attributes: AttrLegacyBoot},
			{Number: 3, Type: MustGUID("5dfbf5f4-2848-4bac-aa5e-0d9a20b745a6"), GUID: MustGUID("7130c94a-213a-4e5a-8e26-6cce9662f132"), Name: "USR-A", First: at(4), Last: at(6) - 1, Attributes: WithSlot(0, SlotState{1, 0, true})},
			{Number: 9, Type: MustGUID("3884dd41-8582-4404-b9a8-e9b84f2df50e"), GUID: MustGUID("11020304-0506-0708-090a-0b0c0d0e0f10"), Name: "Wurzel-äöü-🚃", First: at(6), Last: at(7) - 1},
		},
	}
}

func written(t *testing.T, table Table, size int) memory {
	t.Helper()
	m := make(memory, size)
	if err := table.Write(m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	for _, sectorSize := range []int{512, 4096} {
		want := sample(sectorSize, 8*mib)
		m := written(t, want, 8*mib)
		for _, ask := range []int{sectorSize, 0} {
			got, from, err := Read(m, int64(len(m)), ask)
			if err != nil || from != Primary {
				t.Fatalf("sector size %d: source %v, %v", ask, from, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sector size %d:\n%s", ask, diff)
			}
		}
		if p, b := Damage(m, int64(len(m)), sectorSize); p != nil || b != nil {
			t.Errorf("a new table counts as damaged: %v, %v", p, b)
		}
	}
}

func TestRandomGUID(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("\x00", 16):          "00000000-0000-4000-8000-000000000000",
		strings.Repeat("\xff", 16) + "more": "ffffffff-ffff-4fff-bfff-ffffffffffff",
	} {
		if got := RandomGUID(strings.NewReader(text)); got.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestGUID(t *testing.T) {
	g := MustGUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	if g.String() != "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" {
		t.Error(g)
	}
	if disk := g.swapped(); disk[0] != 0x28 || disk[4] != 0x1f || disk[6] != 0xd2 || disk[8] != 0xba {
		t.Errorf("on disk: %x", disk)
	}
	for _, bad := range []string{"", "c12a7328f81f11d2ba4b00a0c93ec93b", "c12a7328-f81f-11d2-ba4b-00a0c93ec93g", "c12a7328-f81f-11d2-ba4b00-a0c93ec93b", strings.Repeat("-", 36)} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadFallsBackToTheBackup(t *testing.T) {
	want := sample(512, 8*mib)
	for name, damage := range map[string]func(memory){
		"header":           func(m memory) { m[512+60]++ },
		"entries":          func(m memory) { m[1024+40]++ },
		"first MiB zeroed": func(m memory) { clear(m[:mib]) },
	} {
		for _, grown := range []int{0, 4 * mib} {
			if grown > 0 && name == "first MiB zeroed" {
				continue // nothing is left that tells where the backup is
			}
			m := append(written(t, want, 8*mib), make(memory, grown)...)
			damage(m)
			got, from, err := Read(m, int64(len(m)), 512)
			if err != nil || from != Backup {
				t.Errorf("%s, grown by %d: source %v, %v", name, grown, from, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
			if p, b := Damage(m, int64(len(m)), 512); p == nil || b != nil {
				t.Errorf("%s: damage is %v, %v", name, p, b)
			}
			if err := got.Write(m); err != nil {
				t.Error(err)
			}
			if _, from, err := Read(m, int64(len(m)), 512); err != nil || from != Primary {
				t.Errorf("%s: after the repair: %v, %v", name, from, err)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	blank := make(memory, mib)
	if _, _, err := Read(blank, mib, 0); !errors.Is(err, ErrNone) {
		t.Errorf("blank disk: %v", err)
	}
	for _, size := range []int64{0, 1, 512, 1024, 5000} {
		if _, _, err := Read(blank[:size], size, 0); !errors.Is(err, ErrNone) {
			t.Errorf("disk of %d bytes: %v", size, err)
		}
	}
	stale := written(t, sample(512, 8*mib), 8*mib)
	copy(stale[446:], []byte{0x80, 1, 1, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0})
	stale[510], stale[511] = 0x55, 0xaa
	if _, _, err := Read(stale, 8*mib, 512); !errors.Is(err, ErrNone) {
		t.Errorf("MBR disk with leftovers: %v", err)
	}
	both := written(t, sample(512, 8*mib), 8*mib)
	both[512+60]++
	both[8*mib-512+60]++
	if _, _, err := Read(both, 8*mib, 512); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("both copies damaged: %v", err)
	}
	cut := written(t, sample(512, 8*mib), 8*mib)
	if _, _, err := Read(cut[:7*mib], 7*mib, 512); err == nil || !strings.Contains(err.Error(), "describes 16384 sectors") {
		t.Errorf("cut disk: %v", err)
	}
}

func TestGrowAndResize(t *testing.T) {
	m := append(written(t, sample(512, 8*mib), 8*mib), make(memory, 8*mib)...)
	copy(m, "boot code")
	table, _, err := Read(m, int64(len(m)), 512)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Grow(uint64(len(m) / 512)); err != nil {
		t.Fatal(err)
	}
	last, err := table.Room(9)
	if err != nil || last != 16*mib/512-34 {
		t.Fatalf("room to sector %d, %v", last, err)
	}
	if err := table.Resize(9, last); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(m); err != nil {
		t.Fatal(err)
	}
	if string(m[:9]) != "boot code" {
		t.Error("the boot code was overwritten")
	}
	got, from, err := Read(m, int64(len(m)), 512)
	if p, _ := got.Partition(9); err != nil || from != Primary || p.Last != last || got.Sectors != 16*mib/512 {
		t.Errorf("%+v, %v, %v", got, from, err)
	}
	if room, err := table.Room(1); err != nil || room != 4*mib/512-1 {
		t.Errorf("partition 1 has room to %d, %v", room, err)
	}
	for _, err := range []error{table.Grow(5), table.Resize(1, 4*mib/512), table.Resize(1, 0), table.Resize(2, 5)} {
		if err == nil {
			t.Error("a wrong edit was accepted")
		}
	}
}

func TestValidate(t *testing.T) {
	cases := map[string]func(*Table){
		"power of two":         func(t *Table) { t.SectorSize = 500 },
		"cannot describe":      func(t *Table) { t.Sectors = 60 },
		"no GUID":              func(t *Table) { t.DiskGUID = GUID{} },
		"within 1 to 128":      func(t *Table) { t.Partitions[0].Number = 129 },
		"used twice":           func(t *Table) { t.Partitions[0].Number = 3 },
		"lacks a type":         func(t *Table) { t.Partitions[0].Type = GUID{} },
		"GUID of partition 1":  func(t *Table) { t.Partitions[1].GUID = t.Partitions[0].GUID },
		"at most 36":           func(t *Table) { t.Partitions[0].Name = strings.Repeat("x", 37) },
		"before it starts":     func(t *Table) { t.Partitions[0].Last = 5 },
		"not within the usabl": func(t *Table) { t.Partitions[2].Last = t.Sectors - 33 },
		"overlaps partition 1": func(t *Table) { t.Partitions[1].First-- },
	}
	for want, change := range cases {
		table := sample(512, 8*mib)
		change(&table)
		if err := table.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestSlot(t *testing.T) {
	for _, s := range []SlotState{{}, {1, 0, true}, {15, 15, false}, {2, 1, false}} {
		attrs := WithSlot(^uint64(0), s)
		if Slot(attrs) != s || attrs|0x1ff<<48 != ^uint64(0) {
			t.Errorf("%+v became %x, %+v", s, attrs, Slot(attrs))
		}
	}
	if WithSlot(0, SlotState{1, 0, true}) != 0x0101<<48 {
		t.Errorf("%x", WithSlot(0, SlotState{1, 0, true}))
	}
}

func TestSgdiskFindsNoProblem(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	m := written(t, sample(512, 8*mib), 8*mib)
	if err := os.WriteFile(name, m, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := tooltest.Command(t, "sgdisk", "-v", "-p", "-i", "9", name).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("No problems found")) || !bytes.Contains(out, []byte("EFI-SYSTEM")) {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "Caution") || strings.Contains(string(out), "Warning") {
		t.Errorf("%s", out)
	}
}

func TestReadsWhatSgdiskWrites(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, 8*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tooltest.Command(t, "sgdisk", "-n", "2:2048:4095", "-c", "2:data", "-t", "2:ef00", "-A", "2:set:56", "-u", "2:7130c94a-213a-4e5a-8e26-6cce9662f132", name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, from, err := Read(f, 8*mib, 512)
	if err != nil || from != Primary {
		t.Fatal(from, err)
	}
	want := []Partition{{2, MustGUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), MustGUID("7130c94a-213a-4e5a-8e26-6cce9662f132"), "data", 2048, 4095, 1 << 56}}
	if diff := cmp.Diff(want, got.Partitions); diff != "" {
		t.Error(diff)
	}
}

func TestRandomTablesSurvive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		table := sample(512, 8*mib)
		table.Partitions = nil
		next := table.FirstUsable()
		for n := 1; n <= Entries && next+40 < table.LastUsable(); n += 1 + rng.IntN(5) {
			p := Partition{Number: n, Name: strings.Repeat("p", rng.IntN(37)), First: next + uint64(rng.IntN(20)), Attributes: rng.Uint64()}
			p.Last = p.First + uint64(rng.IntN(20))
			p.Type[3], p.GUID[0] = 1, byte(n)
			next = p.Last + 1
			table.Partitions = append(table.Partitions, p)
		}
		got, _, err := Read(written(t, table, 8*mib), 8*mib, 512)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(table, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func FuzzRead(f *testing.F) {
	table := sample(512, 8*mib)
	table.Partitions = nil
	table.Sectors = 80
	m := make(memory, 80*512)
	if err := table.Write(m); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(m), int64(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at int64, value byte) {
		if at >= 0 && at < int64(len(data)) {
			data[at] ^= value
		}
		got, _, err := Read(memory(data), int64(len(data)), 512)
		if err == nil && got.Validate() == nil {
			if err := got.Write(memory(bytes.Clone(data))); err != nil {
				t.Error(err)
			}
		}
	})
}
