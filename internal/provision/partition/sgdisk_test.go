package partition

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// TestPlacesAsSgdisk compares with the tool whose choices the specification
// takes over, on disks that some partitions are on already.
func TestPlacesAsSgdisk(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 12 {
		dir := t.TempDir()
		d := disk(randomTable(rng)...)
		wants := randomWants(rng)
		r, faults := Decide(d, wants)
		image := filepath.Join(dir, "disk")
		writeDisk(t, image, d.Table)
		args := []string{}
		for _, w := range wants {
			args = append(args, fmt.Sprintf("--new=%d:%s:%s", w.Number, start(w), size(w)))
		}
		out, err := tooltest.Command(t, "sgdisk", append(args, image)...).CombinedOutput()
		if (err != nil) != (len(faults) > 0) {
			t.Fatalf("round %d, %v on %v: faults %v, sgdisk %v\n%s", round, args, d.Table.Partitions, faults, err, out)
		}
		if err != nil {
			continue
		}
		got := readDisk(t, image)
		for _, want := range r.Table.Partitions {
			if q, _ := got.Partition(want.Number); q.First != want.First || q.Last != want.Last {
				t.Errorf("round %d, %v on %v: partition %d at %d to %d, sgdisk has it at %d to %d", round, args, d.Table.Partitions, want.Number, want.First, want.Last, q.First, q.Last)
			}
		}
	}
}

func start(w Want) string {
	if w.Start == nil || *w.Start == 0 {
		return "0"
	}
	return fmt.Sprint(*w.Start * 2048)
}

func size(w Want) string {
	if w.Size == nil || *w.Size == 0 {
		return "0"
	}
	return fmt.Sprintf("+%d", *w.Size*2048)
}

func randomTable(rng *rand.Rand) (parts []gpt.Partition) {
	at := uint64(1)
	for n := 1; n <= rng.IntN(4); n++ {
		at += rng.Uint64N(15)
		size := 1 + rng.Uint64N(15)
		parts = append(parts, has(n, "old", at, size))
		at += size
	}
	return parts
}

func randomWants(rng *rand.Rand) (wants []Want) {
	for n := range 1 + rng.IntN(3) {
		w := Want{Number: 10 + n}
		if rng.IntN(4) == 0 {
			w.Start = p(1 + rng.Int64N(90))
		}
		if w.Start != nil || rng.IntN(3) > 0 {
			w.Size = p(1 + rng.Int64N(40))
		}
		wants = append(wants, w)
	}
	return wants
}

func writeDisk(t *testing.T, name string, table gpt.Table) {
	t.Helper()
	table.DiskGUID = gpt.GUID{1}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(table.Sectors) * int64(table.SectorSize)); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(f); err != nil {
		t.Fatal(err)
	}
}

func readDisk(t *testing.T, name string) gpt.Table {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, _, err := gpt.Read(f, fi.Size(), 512)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
