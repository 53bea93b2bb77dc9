package payload

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/layout"
)

// large is an image of several segments, with content that comes again far
// behind.
func large(t testing.TB, change bool) (Image, []byte) {
	t.Helper()
	far := random(300_000, 1)
	files := map[string][]byte{"a/first": far, "b/large": random(2<<20, 2), "c/again": append(random(5000, 3), far...), "d/zeros": make([]byte, 50_000)}
	if change {
		files["c/again"] = edited(files["c/again"])
	}
	return imageOf(t, files, random(40_000, 4))
}

func TestFull(t *testing.T) {
	next, want := large(t, false)
	var out, index bytes.Buffer
	stats, err := Full(t.Context(), next, &out, &index, Options{Parallel: 2})
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(2<<20 + 320_000); stats.Usr > most || stats.Total() != int64(out.Len()) {
		t.Errorf("%+v, want at most %d: what is there twice was sent twice", stats, most)
	}
	h, err := delta.ParseHead(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	slot := &memory{data: make([]byte, len(want))}
	a := delta.Applier{Head: h, New: slot}
	if err := a.Slot(t.Context(), 0, delta.FetchFrom(bytes.NewReader(out.Bytes())), nil, layout.VerityUUID); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(slot.data, want) {
		t.Error("the slot has other bytes than the release")
	}
}

// A machine with another release fetches what it lacks.
func TestIndex(t *testing.T) {
	old, _ := large(t, false)
	next, want := large(t, true)
	var out, index bytes.Buffer
	if _, err := Full(t.Context(), next, &out, &index, Options{}); err != nil {
		t.Fatal(err)
	}
	h, err := delta.ParseHead(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	x, err := delta.ParseIndex(index.Bytes(), h)
	if err != nil {
		t.Fatal(err)
	}
	reuse, err := delta.NewReuse(x, h.To, old.Usr, old.Release.UsrSize, old.UKI, old.Release.UKISize)
	if err != nil {
		t.Fatal(err)
	}
	fetched := int64(0)
	whole := delta.FetchFrom(bytes.NewReader(out.Bytes()))
	a := delta.Applier{Head: h, Reuse: reuse}
	fetch := func(ctx context.Context, i int, s delta.Segment) ([]byte, error) {
		fetched += s.Stored
		last := slices.IndexFunc(h.Segments, func(g delta.Segment) bool { return g.Offset+g.Stored == a.RunEnd(i) })
		if last < i || last+1 < len(h.Segments) && !reuse.Has(last+1, h.Segments[last+1]) {
			t.Errorf("from segment %d on, %d is the last to fetch", i, last)
		}
		return whole(ctx, i, s)
	}
	slot := &memory{data: make([]byte, len(want))}
	a.New = slot
	if err := a.Slot(t.Context(), 0, fetch, nil, layout.VerityUUID); err != nil {
		t.Fatal(err)
	}
	if err := a.Kernel(t.Context(), fetch, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(slot.data, want) {
		t.Error("the slot has other bytes than the release")
	}
	if fetched != reuse.Needs(h) || fetched == 0 || fetched > int64(out.Len())/2+100_000 {
		t.Errorf("fetched %d bytes of %d, planned %d", fetched, out.Len(), reuse.Needs(h))
	}
}

func TestDamagedIndex(t *testing.T) {
	h := delta.Head{To: delta.Release{UsrSize: 8192}, Segments: make([]delta.Segment, 1)}
	good := delta.MarshalIndex(delta.Index{Blocks: []uint32{1, 2}, Checks: make([]delta.Check, 1)})
	if _, err := delta.ParseIndex(good, h); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := delta.ParseIndex(good[:n], h); err == nil {
			t.Errorf("%d bytes of %d were accepted", n, len(good))
		}
	}
	if _, err := delta.ParseIndex(append(good, 0), h); err == nil {
		t.Error("a byte too many was accepted")
	}
}
