package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"wellcar.dev/internal/format/zblock"
)

// newFullSample is a full payload with a segment of each kind.
func newFullSample(t testing.TB) sample {
	t.Helper()
	fresh := random(64<<10, 5)
	s := sample{nextUKI: random(6000, 9)}
	s.head = Head{Kind: Full, Parts: []Part{{Plain, 6000, 6000}}}
	var next, body []byte
	var e zblock.Encoder
	add := func(target Target, data, stored []byte) {
		s.head.Segments = append(s.head.Segments, Segment{Target: target, Size: int64(len(data)), Stored: int64(len(stored)), Hash: DigestOf(stored)})
		body = append(body, stored...)
		if target == Usr {
			next, s.segmentsOfNext = append(next, data...), s.segmentsOfNext+1
		}
	}
	again := func(data, lits []byte, q ...zblock.Sequence) {
		block, err := e.Append(nil, lits, q)
		if err != nil {
			t.Fatal(err)
		}
		add(Usr, data, StoreFull(data, block))
	}
	add(Usr, fresh[:32<<10], StoreFull(fresh[:32<<10], nil))
	add(Usr, make([]byte, 16<<10), StoreFull(make([]byte, 16<<10), nil))
	again(next[:8<<10], nil, zblock.Sequence{Match: 8 << 10, Offset: 48 << 10})
	again(append(bytes.Clone(fresh[40<<10:44<<10]), next[100:100+4<<10]...), fresh[40<<10:44<<10], zblock.Sequence{Literals: 4 << 10, Match: 4 << 10, Offset: 60<<10 - 100})
	add(Usr, fresh[44<<10:48<<10], StoreFull(fresh[44<<10:48<<10], nil))
	add(Kernel, s.nextUKI, StorePlain(s.nextUKI))
	s.next, s.head.To = release(t, next, s.nextUKI)
	head := MarshalHead(s.head)
	var err error
	if s.head, err = ParseHead(head); err != nil {
		t.Fatal(err)
	}
	s.payload = append(head, body...)
	return s
}

func TestFullCutsAtEveryWrite(t *testing.T) { newFullSample(t).cutAtEveryWrite(t) }

func TestFullCutsInTheDownload(t *testing.T) { newFullSample(t).cutInTheDownload(t) }

func TestFullRefusesAlteredSegments(t *testing.T) { newFullSample(t).alterSegments(t) }

// Stored bytes that have their digest and are none.
func TestFullRefusesBadSegments(t *testing.T) {
	var e zblock.Encoder
	block, err := e.Append(nil, []byte("abc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	future, err := e.Append(nil, nil, []zblock.Sequence{{Match: 4096, Offset: 4097}})
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string][]byte{
		"nothing": {}, "unknown kind": {9, 1}, "too few": StorePlain(make([]byte, 4095)), "too many": StorePlain(make([]byte, 4097)),
		"one byte that is two": {fullOne, 1, 2}, "no byte": {fullOne}, "a short block": append([]byte{fullBlock}, block...),
		"from before the start": append([]byte{fullBlock}, future...), "an empty block": {fullBlock},
	} {
		head := Head{Kind: Full, Segments: []Segment{
			{Size: 4096, Stored: 2, Hash: DigestOf([]byte{fullOne, 0})},
			{Size: 4096, Start: 4096, Stored: int64(len(stored)), Hash: DigestOf(stored)},
			{Target: Kernel, Size: 4096, Stored: int64(len(stored)), Hash: DigestOf(stored)}}}
		slot := &guarded{memory{data: make([]byte, 8192)}, 0}
		a := Applier{Head: head, New: slot}
		if err := a.Usr(0, []byte{fullOne, 0}); err != nil {
			t.Fatal(err)
		}
		slot.first = 8192
		if err := a.Usr(1, stored); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		fetch := func(context.Context, int, Segment) ([]byte, error) { return stored, nil }
		if err := a.Kernel(t.Context(), fetch, &bytes.Buffer{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s, kernel: %v", name, err)
		}
	}
}

// Segments of /usr in a full payload have a limit, whatever the head says.
func TestFullRefusesLargeSegments(t *testing.T) {
	stored := []byte{fullOne, 0}
	a := Applier{Head: Head{Kind: Full, Segments: []Segment{{Size: FullSegment + 1, Stored: 2, Hash: DigestOf(stored)}}}, New: &memory{}}
	if err := a.Usr(0, stored); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// FuzzFull makes segments of any bytes, behind an image.
func FuzzFull(f *testing.F) {
	s := newFullSample(f)
	for _, g := range s.head.Segments {
		f.Add(s.payload[g.Offset:][:g.Stored], g.Size)
	}
	front := random(32<<10, 1)
	f.Fuzz(func(t *testing.T, stored []byte, size int64) {
		if size <= 0 || size > 1<<18 {
			return
		}
		slot := &guarded{memory{data: append(bytes.Clone(front), make([]byte, size)...)}, 32 << 10}
		g := Segment{Size: size, Start: 32 << 10, Stored: int64(len(stored)), Hash: DigestOf(stored)}
		a := Applier{Head: Head{Kind: Full, Segments: []Segment{g}}, New: slot}
		if err := a.Usr(0, stored); err == nil && len(slot.data) != len(front)+int(size) {
			t.Error("the slot has another size")
		}
		if sha256.Sum256(slot.data[:32<<10]) != sha256.Sum256(front) {
			t.Error("what is in front was changed")
		}
	})
}
