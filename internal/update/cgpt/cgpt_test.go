//go:build linux

package cgpt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
)

// disk is a new disk as the image has it.
func disk() *Disk {
	t := gpt.Table{DiskGUID: gpt.MustGUID(layout.ImageDiskGUID), SectorSize: 512}
	at := uint64(layout.Align / 512)
	for i, p := range layout.Partitions() {
		guid := p.GUID
		if guid == "" {
			guid = fmt.Sprintf("00000000-0000-0000-0000-0000000001%02d", i)
		}
		e := gpt.Partition{Number: p.Number, Type: gpt.MustGUID(p.Type), GUID: gpt.MustGUID(guid), Name: p.Label, First: at, Last: at + uint64(p.Size/512) - 1}
		switch p.Number {
		case layout.ESP:
			e.Attributes = gpt.AttrLegacyBoot
		case layout.UsrA:
			e.Attributes = gpt.WithSlot(0, gpt.SlotState{Priority: 1, Successful: true})
		}
		t.Partitions = append(t.Partitions, e)
		at += uint64(p.Size / 512)
	}
	t.Sectors = at + 4096
	return &Disk{Table: t}
}

func TestShow(t *testing.T) {
	for name, o := range map[string]ShowOptions{"all": {}, "numeric": {Numeric: true}, "quick": {Quick: true}, "one": {Number: 3}} {
		var b bytes.Buffer
		if err := disk().Show(&b, o); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "show-"+name+".txt")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for field, want := range map[string]string{"b": "2105344", "s": "4194304", "t": strings.ToUpper(layout.TypeUsr), "u": strings.ToUpper(layout.GUIDUsrA),
		"l": "USR-A", "S": "1", "T": "0", "P": "1", "A": "0x101"} {
		var b bytes.Buffer
		if err := disk().Show(&b, ShowOptions{Number: 3, Field: field}); err != nil || b.String() != want+"\n" {
			t.Errorf("-%s: %q, %v; want %s", field, b.String(), err, want)
		}
	}
	if err := disk().Show(&bytes.Buffer{}, ShowOptions{Number: 99}); err == nil {
		t.Error("a partition that is not there was shown")
	}
}

// kept is a boot loader's state.
type kept map[int]gpt.SlotState

func (k kept) State(n int) (gpt.SlotState, bool) { s, ok := k[n]; return s, ok }

func (k kept) Set(n int, tries *int, successful *bool) error {
	s := k[n]
	if tries != nil {
		s.Tries = *tries
	}
	if successful != nil {
		s.Successful = *successful
	}
	k[n] = s
	return nil
}

func (k kept) Prioritize(n int) error {
	for i, s := range k {
		s.Priority = 1
		if i == n {
			s.Priority = 2
		}
		k[i] = s
	}
	return nil
}

func TestSlotsOfTheLoader(t *testing.T) {
	d := disk()
	slots := kept{3: {Priority: 1, Successful: true}, 4: {}}
	d.Slots = slots
	tries, no, priority := 1, false, 2
	if err := d.Add(4, Fields{Tries: &tries, Successful: &no, Priority: &priority}); err != nil {
		t.Fatal(err)
	}
	if next, err := d.Next(); err != nil || next.Number != 4 {
		t.Errorf("%v, %v", next, err)
	}
	if err := d.Prioritize(3, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept{3: {Priority: 2, Successful: true}, 4: {Priority: 1, Tries: 1}}, slots); diff != "" {
		t.Error(diff)
	}
	if got := gpt.Slot(d.Table.Partitions[2].Attributes); got.Priority != 1 {
		t.Errorf("the table was changed: %+v", got)
	}
}

func TestSlotsOfTheTable(t *testing.T) {
	d := disk()
	tries, no, priority := 1, false, 5
	if err := d.Add(4, Fields{Tries: &tries, Successful: &no, Priority: &priority}); err != nil {
		t.Fatal(err)
	}
	if next, err := d.Next(); err != nil || next.Number != 4 {
		t.Errorf("%v, %v", next, err)
	}
	if err := d.Prioritize(0, false); err != nil {
		t.Fatal(err)
	}
	if a, b := gpt.Slot(d.Table.Partitions[2].Attributes).Priority, gpt.Slot(d.Table.Partitions[3].Attributes).Priority; a != 1 || b != 2 {
		t.Errorf("priorities %d and %d", a, b)
	}
	if err := d.Prioritize(3, false); err != nil {
		t.Fatal(err)
	}
	if a, b := gpt.Slot(d.Table.Partitions[2].Attributes).Priority, gpt.Slot(d.Table.Partitions[3].Attributes).Priority; a != 2 || b != 1 {
		t.Errorf("priorities %d and %d", a, b)
	}
	if err := d.Prioritize(9, false); err == nil {
		t.Error("ROOT was put first")
	}
	if _, err := (&Disk{Table: gpt.Table{}}).Next(); err == nil {
		t.Error("a slot of an empty table starts")
	}
}

func TestEdit(t *testing.T) {
	d := disk()
	begin, size, label, boot := uint64(2048), uint64(100), "new", true
	kind, err := ParseType("data")
	if err != nil {
		t.Fatal(err)
	}
	guid := func() gpt.GUID { return gpt.MustGUID("11111111-1111-4111-8111-111111111111") }
	if err := d.Add(0, Fields{Begin: &begin, Size: &size, Type: &kind, Label: &label, CreateGUID: guid}); err != nil {
		t.Fatal(err)
	}
	if p, ok := d.Table.Partition(5); !ok || p.First != 2048 || p.Last != 2147 || p.Name != "new" || p.GUID != guid() {
		t.Errorf("%+v", p)
	}
	if err := d.Add(5, Fields{Boot: &boot}); err != nil {
		t.Error(err)
	}
	if p, _ := d.Table.Partition(5); p.Attributes != gpt.AttrLegacyBoot || p.Sectors() != 100 {
		t.Errorf("%+v", p)
	}
	if err := d.Add(10, Fields{Label: &label}); err == nil {
		t.Error("a partition without a place was added")
	}
	usr, err := ParseType("coreos-usr")
	if got := fmt.Sprint(d.Find(Fields{Type: &usr})); err != nil || got != "[3 4]" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := ParseType("nonsense"); err == nil || !strings.Contains(err.Error(), "flatcar-usr") {
		t.Error(err)
	}
	if grew, err := d.Resize(9, 1); err != nil || !grew {
		t.Errorf("%v, %v", grew, err)
	}
	if grew, err := d.Resize(9, 1); err != nil || grew {
		t.Errorf("again: %v, %v", grew, err)
	}
	if grew, err := d.Resize(3, 1); err != nil || grew {
		t.Errorf("without room: %v, %v", grew, err)
	}
}
