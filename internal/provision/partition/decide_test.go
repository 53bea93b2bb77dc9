package partition

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/gpt"
)

func p[T any](v T) *T { return &v }

const (
	dataType = DefaultType
	swapType = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
	guidA    = "aaaaaaaa-0000-4000-8000-000000000001"
)

// has makes a partition with places in MiB.
func has(number int, label string, start, size uint64) gpt.Partition {
	return gpt.Partition{Number: number, Name: label, Type: gpt.MustGUID(dataType), GUID: gpt.GUID{15: byte(number)},
		First: start * 2048, Last: (start+size)*2048 - 1}
}

// disk is one of 100 MiB.
func disk(parts ...gpt.Partition) Disk {
	return Disk{Table: gpt.Table{SectorSize: 512, Sectors: 100 * 2048, Partitions: parts}}
}

// show is a result in short: "create 1 a 1+10, keep ...".
func show(r Result) string {
	var words []string
	for _, c := range r.Changes {
		at := c.After
		if c.Kind == Delete {
			at = c.Before
		}
		words = append(words, fmt.Sprintf("%s %d %s", c.Kind, at.Number, place(at)))
	}
	return strings.Join(words, ", ")
}

func place(q gpt.Partition) string {
	at := func(n uint64) string {
		if n%2048 == 0 {
			return fmt.Sprint(n / 2048)
		}
		return fmt.Sprintf("%ds", n)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s+%s", q.Name, at(q.First), at(q.Sectors())))
}

func TestDecide(t *testing.T) {
	busy := func(d Disk, n int) Disk { d.Busy = map[int]string{n: "mounted on /var"}; return d }
	cases := map[string]struct {
		disk  Disk
		wants []Want
		want  string // changes, or the fault
	}{
		"nothing":                      {disk(), nil, ""},
		"blank disk, no place":         {disk(), []Want{{Number: 1, Label: p("a")}}, "create 1 a 1+98"},
		"blank disk, zeros":            {disk(), []Want{{Number: 1, Start: p[int64](0), Size: p[int64](0)}}, "create 1 1+98"},
		"size only":                    {disk(), []Want{{Number: 1, Size: p[int64](10)}, {Number: 2, Size: p[int64](20)}}, "create 1 1+10, create 2 11+20"},
		"fixed place":                  {disk(), []Want{{Number: 5, Start: p[int64](40), Size: p[int64](10)}}, "create 5 40+10"},
		"largest block":                {disk(has(1, "a", 1, 20), has(2, "b", 60, 10)), []Want{{Number: 3}}, "create 3 21+39"},
		"to the end of its block":      {disk(has(1, "a", 30, 5)), []Want{{Number: 2, Start: p[int64](10)}}, "create 2 10+20"},
		"number 0":                     {disk(has(1, "a", 1, 5)), []Want{{Label: p("x"), Size: p[int64](2)}, {Number: 2, Size: p[int64](3)}, {Label: p("y"), Size: p[int64](2)}}, "create 3 x 9+2, create 2 6+3, create 4 y 11+2"},
		"number 0 takes a freed one":   {disk(has(1, "a", 1, 5), has(2, "b", 6, 5)), []Want{{Number: 1, Absent: true, Wipe: true}, {Label: p("x"), Size: p[int64](2), Wipe: true}}, "replace 1 x 11+2"},
		"number 0 absent":              {disk(), []Want{{Label: p("x"), Absent: true}}, ""},
		"keep":                         {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("a")}}, "keep 1 a 1+5"},
		"keep with everything":         {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("a"), Start: p[int64](1), Size: p[int64](5), Type: strings.ToUpper(dataType), GUID: "00000000-0000-0000-0000-000000000001"}}, "keep 1 a 1+5"},
		"keep though wiping is fine":   {disk(has(1, "a", 1, 98)), []Want{{Number: 1, Label: p("a"), Wipe: true}}, "keep 1 a 1+98"},
		"wipe lets it move":            {disk(has(1, "a", 5, 5)), []Want{{Number: 1, Label: p("a"), Size: p[int64](5), Wipe: true}}, "replace 1 a 1+5"},
		"label differs":                {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("b")}}, `label: partition 1 (b) exists and differs: its label is "a", not "b"`},
		"empty label differs":          {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("")}}, `label: partition 1 exists and differs: its label is "a", not ""`},
		"start and type differ":        {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Start: p[int64](2), Type: swapType}}, "startMiB: partition 1 exists and differs: it starts at 1 MiB, not at 2 MiB, its type is " + dataType + ", not " + swapType},
		"guid differs":                 {disk(has(1, "a", 1, 5)), []Want{{Number: 1, GUID: guidA}}, "guid: partition 1 exists and differs: its GUID is 00000000-0000-0000-0000-000000000001, not " + guidA},
		"size differs":                 {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Size: p[int64](8)}}, "sizeMiB: partition 1 exists and differs: its size is 5 MiB, not 8 MiB"},
		"resize":                       {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Size: p[int64](8), Resize: true}}, "resize 1 a 1+8"},
		"resize to all":                {disk(has(1, "a", 1, 5), has(2, "b", 50, 5)), []Want{{Number: 1, Size: p[int64](0), Resize: true}}, "resize 1 a 1+49"},
		"resize, more differs":         {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("b"), Size: p[int64](8), Resize: true}}, `label: partition 1 (b) exists and differs: its label is "a", not "b", its size is 5 MiB, not 8 MiB`},
		"wipe before resize":           {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Label: p("a"), Start: p[int64](1), Size: p[int64](8), Resize: true, Wipe: true}}, "replace 1 a 1+8"},
		"absent and not there":         {disk(), []Want{{Number: 1, Absent: true, Wipe: true}}, ""},
		"absent":                       {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Absent: true}}, "shouldExist: partition 1 exists but should not (partition 1 (a, 5 MiB))"},
		"absent and wiped":             {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Absent: true, Wipe: true}}, "delete 1 a 1+5"},
		"room of a deleted one":        {disk(has(1, "a", 1, 50)), []Want{{Number: 1, Absent: true, Wipe: true}, {Number: 2}}, "delete 1 a 1+50, create 2 1+98"},
		"absent beside wanted":         {disk(has(1, "a", 1, 5)), []Want{{Number: 1, Absent: true}, {Number: 1, Label: p("a")}}, "keep 1 a 1+5"},
		"overlap with existing":        {disk(has(1, "a", 10, 5)), []Want{{Number: 2, Start: p[int64](5), Size: p[int64](6)}}, "startMiB: partition 2 (5 MiB to 11 MiB) overlaps existing partition 1 (a, 5 MiB) (10 MiB to 15 MiB)"},
		"overlap within the list":      {disk(), []Want{{Number: 1, Label: p("a"), Start: p[int64](1), Size: p[int64](9)}, {Number: 2, Start: p[int64](9), Size: p[int64](9)}}, "startMiB: partition 2 (9 MiB to 18 MiB) overlaps partition 1 (a) (1 MiB to 10 MiB)"},
		"starts within another":        {disk(has(1, "a", 1, 50)), []Want{{Number: 2, Start: p[int64](10)}}, "startMiB: partition 2 starts at 10 MiB, which is within partition 1 (a, 50 MiB)"},
		"too large":                    {disk(), []Want{{Number: 1, Size: p[int64](200)}}, "sizeMiB: partition 1 needs 200 MiB, but the largest free block has 98 MiB"},
		"too large for its start":      {disk(), []Want{{Number: 1, Start: p[int64](20), Size: p[int64](90)}}, "sizeMiB: partition 1 ends at 110 MiB, but the disk has 100 MiB; at most 79 MiB fit there"},
		"too large between others":     {disk(has(1, "a", 1, 20), has(2, "b", 60, 40)), []Want{{Number: 3, Size: p[int64](50)}}, "sizeMiB: partition 3 needs 50 MiB, but the largest free block has 39 MiB"},
		"behind the end":               {disk(), []Want{{Number: 1, Start: p[int64](200)}}, "startMiB: partition 1 starts at 200 MiB, which is behind the end of the disk (100 MiB)"},
		"full":                         {disk(gpt.Partition{Number: 1, First: 34, Last: 100*2048 - 34}), []Want{{Number: 2}}, ": partition 2 has no room: the disk is full"},
		"resize of a mounted one":      {busy(disk(has(1, "a", 1, 5)), 1), []Want{{Number: 1, Size: p[int64](8), Resize: true}}, ": partition 1 cannot be changed: it is mounted on /var"},
		"deletion of a mounted one":    {busy(disk(has(1, "a", 1, 5)), 1), []Want{{Number: 1, Absent: true, Wipe: true}}, ": partition 1 cannot be changed: it is mounted on /var"},
		"a mounted one stays":          {busy(disk(has(1, "a", 1, 5)), 1), []Want{{Number: 1, Label: p("a")}, {Number: 2, Size: p[int64](3)}}, "keep 1 a 1+5, create 2 6+3"},
		"wrong type":                   {disk(), []Want{{Number: 1, Type: "swap"}}, `typeGuid: partition 1 has a type that is no GUID: "swap"`},
		"unaligned existing is kept":   {disk(gpt.Partition{Number: 1, First: 100, Last: 299}), []Want{{Number: 1}}, "keep 1 100s+200s"},
		"resize of an unaligned start": {disk(gpt.Partition{Number: 1, First: 100, Last: 299}), []Want{{Number: 1, Size: p[int64](1), Resize: true}}, "resize 1 100s+1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, faults := Decide(c.disk, c.wants)
			got := show(r)
			if len(faults) > 0 {
				got = faults[0].Field + ": " + faults[0].Message
				if faults[0].Remedy == "" {
					t.Error("no remedy")
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLargeSectors(t *testing.T) {
	d := Disk{Table: gpt.Table{SectorSize: 4096, Sectors: 100 * 256}}
	r, faults := Decide(d, []Want{{Number: 1, Size: p[int64](10)}, {Number: 2}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if a, b := r.Table.Partitions[0], r.Table.Partitions[1]; a.First != 256 || a.Sectors() != 2560 || b.First != 11*256 || b.Last != 99*256-1 {
		t.Errorf("%+v", r.Table.Partitions)
	}
}

func TestResizeKeepsWhatThePartitionIs(t *testing.T) {
	was := has(1, "a", 1, 5)
	was.Attributes, was.Type = 1<<60, gpt.MustGUID(swapType)
	r, faults := Decide(disk(was), []Want{{Number: 1, Size: p[int64](9), Resize: true}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	was.Last = 10*2048 - 1
	if diff := cmp.Diff([]gpt.Partition{was}, r.Table.Partitions); diff != "" {
		t.Error(diff)
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	_, faults := Decide(disk(has(1, "a", 1, 5)), []Want{{Number: 3, Size: p[int64](500)}, {Number: 1, Label: p("b")}, {Number: 2, Start: p[int64](300)}})
	var at []int
	for _, f := range faults {
		at = append(at, f.Want)
	}
	if diff := cmp.Diff([]int{0, 1, 2}, at); diff != "" {
		t.Error(diff, faults)
	}
}

// TestCheck has entries that no disk can have.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		want  Want
		field string
	}{
		"number below 0": {Want{Number: -1}, "number"}, "number": {Want{Number: 129}, "number"}, "last number": {Want{Number: 128}, ""},
		"one that goes": {Want{Number: 200, Absent: true}, ""}, "start": {Want{Number: 1, Start: p[int64](-4)}, "startMiB"},
		"size": {Want{Number: 1, Size: p[int64](-5)}, "sizeMiB"}, "size that wraps": {Want{Number: 1, Size: p[int64](1 << 53)}, "sizeMiB"},
		"the rest": {Want{Number: 1, Start: p[int64](0), Size: p[int64](0)}, ""},
	} {
		got := ""
		for _, f := range Check([]Want{c.want}) {
			got += f.Field
		}
		if got != c.field {
			t.Errorf("%s: fault in %q, want %q", name, got, c.field)
		}
		if _, faults := Decide(disk(), []Want{c.want}); len(faults) > 0 != (c.field != "") {
			t.Errorf("%s: decided %v", name, faults)
		}
	}
}
