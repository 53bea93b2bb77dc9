package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"wellcar.dev/internal/format/delta/bsdiff"
	"wellcar.dev/internal/format/verity"
)

func random(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.UintN(50))
	}
	return out
}

// memory is a slot in memory. After fail writes it fails each one, having
// written half of it: the power is cut.
type memory struct {
	data []byte
	fail int // 0: never
	seen int
}

var errCut = errors.New("the power is cut")

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.seen++
	if m.fail > 0 && m.seen >= m.fail {
		return copy(m.data[off:], p[:len(p)/2]), errCut
	}
	return copy(m.data[off:], p), nil
}

func noUUID([32]byte) [16]byte { return [16]byte{1} }

// release is an image with its tree, and what a head says of it.
func release(t testing.TB, usr, uki []byte) ([]byte, Release) {
	t.Helper()
	r := Release{Salt: sha256.Sum256([]byte("salt")), UsrSize: int64(len(usr)), UKISize: int64(len(uki)), UKIHash: sha256.Sum256(uki)}
	m := &memory{data: append(bytes.Clone(usr), make([]byte, verity.TreeSize(int64(len(usr))))...)}
	tree, err := verity.Append(m, 0, r.UsrSize, verity.Params{Salt: r.Salt[:], UUID: noUUID})
	if err != nil {
		t.Fatal(err)
	}
	r.RootHash = tree.RootHash
	return m.data, r
}

// sample is a pair of releases with a payload that uses every operation, in
// segments of one operation each.
type sample struct {
	head           Head
	payload        []byte
	old, oldUKI    []byte
	next, nextUKI  []byte // next with its tree
	segmentsOfNext int
}

func newSample(t testing.TB) sample {
	t.Helper()
	old := random(64<<10, 1)
	edited := bytes.Clone(old[8192:28672])
	edited[77]++
	fresh := random(12<<10, 5)
	framed := append(bytes.Clone(old[40960:45056]), old[40960:45056]...)
	var next []byte
	var writers []SegmentWriter
	add := func(data []byte, do func(w *SegmentWriter)) {
		var w SegmentWriter
		do(&w)
		writers, next = append(writers, w), append(next, data...)
	}
	add(old[4096:24576], func(w *SegmentWriter) { w.Copy(4096, 4096); w.Copy(8192, 16384) })
	add(edited, func(w *SegmentWriter) {
		w.Patch(4096, bsdiff.NewIndex(old[4096:32768]).Diff(edited))
	})
	add(append(make([]byte, 4096), fresh...), func(w *SegmentWriter) { w.Zero(4096); w.New(fresh) })
	frame, err := PackWith(framed, old[40960:45056])
	if err != nil {
		t.Fatal(err)
	}
	add(framed, func(w *SegmentWriter) { w.PatchZ(40960, 4096, int64(len(framed)), frame) })
	add(fresh, func(w *SegmentWriter) { w.New(fresh) })

	s := sample{oldUKI: random(5000, 8), nextUKI: random(6000, 9), segmentsOfNext: len(writers)}
	s.head = Head{Kind: Delta, Parts: []Part{{Plain, 6000, 6000}}}
	s.old, s.head.From = release(t, old, s.oldUKI)
	s.next, s.head.To = release(t, next, s.nextUKI)
	var kernel SegmentWriter
	kernel.New(s.nextUKI)
	var body []byte
	for i, w := range append(writers, kernel) {
		target := Usr
		if i == len(writers) {
			target = Kernel
		}
		stored, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		s.head.Segments = append(s.head.Segments, Segment{Target: target, Size: w.Size, Stored: int64(len(stored)), Hash: DigestOf(stored)})
		body = append(body, stored...)
	}
	head := MarshalHead(s.head)
	if s.head, err = ParseHead(head); err != nil {
		t.Fatal(err)
	}
	s.payload = append(head, body...)
	return s
}

func (s sample) applier(slot *memory) *Applier {
	return &Applier{Head: s.head, Old: bytes.NewReader(s.old), OldUKI: bytes.NewReader(s.oldUKI), OldUKISize: int64(len(s.oldUKI)), New: slot}
}

func TestApply(t *testing.T) {
	s := newSample(t)
	slot := &memory{data: random(len(s.next), 99)}
	a := s.applier(slot)
	if err := a.CheckOld(); err != nil {
		t.Fatal(err)
	}
	fetch := FetchFrom(bytes.NewReader(s.payload))
	if err := a.Slot(t.Context(), 0, fetch, nil, noUUID); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(slot.data, s.next) {
		t.Error("the slot has other bytes than the release")
	}
	var uki bytes.Buffer
	if err := a.Kernel(t.Context(), fetch, &uki); err != nil || !bytes.Equal(uki.Bytes(), s.nextUKI) {
		t.Errorf("the kernel image has other bytes, %v", err)
	}
	if s.head.Total() != int64(len(s.payload)) {
		t.Errorf("total %d of %d bytes", s.head.Total(), len(s.payload))
	}
}

// The power is cut at every write in turn; each time the update goes on from
// the last segment that was reported, into a slot with half a write in it.
func TestCutsAtEveryWrite(t *testing.T) { newSample(t).cutAtEveryWrite(t) }

func (s sample) cutAtEveryWrite(t *testing.T) {
	t.Helper()
	fetch := FetchFrom(bytes.NewReader(s.payload))
	for cut := 1; ; cut++ {
		slot := &memory{data: random(len(s.next), 99), fail: cut}
		next := 0
		err := s.applier(slot).Slot(t.Context(), 0, fetch, func(n int) error { next = n; return nil }, noUUID)
		if err == nil {
			if cut < s.segmentsOfNext {
				t.Fatalf("only %d writes", cut)
			}
			return
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		slot.fail = 0
		if err := s.applier(slot).Slot(t.Context(), next, fetch, nil, noUUID); err != nil || !bytes.Equal(slot.data, s.next) {
			t.Fatalf("after a cut at write %d, going on from segment %d: %v", cut, next, err)
		}
	}
}

// The network is cut at many places of the payload.
func TestCutsInTheDownload(t *testing.T) { newSample(t).cutInTheDownload(t) }

func (s sample) cutInTheDownload(t *testing.T) {
	t.Helper()
	short := func(n int64) Fetch { return FetchFrom(bytes.NewReader(s.payload[:n])) }
	whole := FetchFrom(bytes.NewReader(s.payload))
	for n := s.head.Size; n < int64(len(s.payload)); n += 1201 {
		slot := &memory{data: make([]byte, len(s.next))}
		next := 0
		a := s.applier(slot)
		if err := a.Slot(t.Context(), 0, short(n), func(n int) error { next = n; return nil }, noUUID); err != nil {
			if err := a.Slot(t.Context(), next, whole, nil, noUUID); err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
		}
		if !bytes.Equal(slot.data, s.next) {
			t.Fatalf("after %d bytes: the slot has other bytes", n)
		}
	}
}

func TestRefusesAlteredSegments(t *testing.T) { newSample(t).alterSegments(t) }

func (s sample) alterSegments(t *testing.T) {
	t.Helper()
	for at := s.head.Size; at < int64(len(s.payload)); at += 1499 {
		bad := bytes.Clone(s.payload)
		bad[at] ^= 4
		slot := &memory{data: make([]byte, len(s.next))}
		a := s.applier(slot)
		err := a.Slot(t.Context(), 0, FetchFrom(bytes.NewReader(bad)), nil, noUUID)
		if err == nil {
			err = a.Kernel(t.Context(), FetchFrom(bytes.NewReader(bad)), &bytes.Buffer{})
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d was changed: %v", at, err)
		}
	}
}

func TestRefusesAnotherOld(t *testing.T) {
	s := newSample(t)
	s.old[5000]++
	if err := s.applier(nil).CheckOld(); !errors.Is(err, ErrWrongOld) {
		t.Error(err)
	}
	s = newSample(t)
	s.oldUKI[50]++
	if err := s.applier(nil).CheckOld(); !errors.Is(err, ErrWrongOld) {
		t.Error(err)
	}
}

func TestRefusesAnotherRootHash(t *testing.T) {
	s := newSample(t)
	s.head.To.RootHash[3]++
	s.head.To.UKIHash[3]++
	a := s.applier(&memory{data: make([]byte, len(s.next))})
	fetch := FetchFrom(bytes.NewReader(s.payload))
	if err := a.Slot(t.Context(), 0, fetch, nil, noUUID); !errors.Is(err, ErrWrongNew) {
		t.Error(err)
	}
	if err := a.Kernel(t.Context(), fetch, &bytes.Buffer{}); !errors.Is(err, ErrWrongNew) {
		t.Error(err)
	}
}

func TestStopsWhenCancelled(t *testing.T) {
	s := newSample(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := s.applier(&memory{data: make([]byte, len(s.next))}).Slot(ctx, 0, FetchFrom(bytes.NewReader(s.payload)), nil, noUUID)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Operations that leave their images, or take what is not there.
func TestRefusesBadOperations(t *testing.T) {
	old := random(8192, 1)
	for name, do := range map[string]func(w *SegmentWriter){
		"copy behind the end":   func(w *SegmentWriter) { w.Copy(4097, 4096) },
		"copy before the start": func(w *SegmentWriter) { w.Copy(-1, 4096) },
		"seek out of the image": func(w *SegmentWriter) {
			w.Patch(0, bsdiff.Patch{Triples: []bsdiff.Triple{{Add: 1, Seek: 90000}, {Add: 4095}}, Diff: make([]byte, 4096)})
		},
		"more differences than there are": func(w *SegmentWriter) {
			w.Patch(0, bsdiff.Patch{Triples: []bsdiff.Triple{{Add: 4096}}, Diff: make([]byte, 10), Extra: make([]byte, 4086)})
		},
		"frame that is none": func(w *SegmentWriter) { w.PatchZ(0, 100, 4096, []byte("frame")) },
		"unknown":            func(w *SegmentWriter) { w.op(77, 4096) },
	} {
		var w SegmentWriter
		do(&w)
		stored, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		out := &output{w: slotSink{&memory{data: make([]byte, 4096)}}}
		if err := segment(stored, w.Size, bytes.NewReader(old), 8192, out); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzHead(f *testing.F) {
	s := newSample(f)
	f.Add(s.payload[:s.head.Size])
	f.Add(MarshalHead(Head{Kind: Full}))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHead(data)
		if err != nil {
			return
		}
		again, err := ParseHead(MarshalHead(h))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(h) && h.Size == again.Size {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// No segment makes the applier panic or write outside its range.
func FuzzSegment(f *testing.F) {
	s := newSample(f)
	for _, g := range s.head.Segments {
		f.Add(s.payload[g.Offset:][:g.Stored], g.Size)
	}
	old := random(64<<10, 1)
	f.Fuzz(func(t *testing.T, stored []byte, size int64) {
		if size <= 0 || size > 1<<20 {
			return
		}
		slot := &guarded{memory{data: make([]byte, 32<<10+size)}, 32 << 10}
		segment(stored, size, bytes.NewReader(old), int64(len(old)), &output{w: slotSink{slot}, at: 32 << 10})
	})
}

// guarded panics on writes before its first byte.
type guarded struct {
	memory
	first int64
}

func (g *guarded) WriteAt(p []byte, off int64) (int, error) {
	if off < g.first || off+int64(len(p)) > int64(len(g.data)) {
		panic("a write outside the range")
	}
	return g.memory.WriteAt(p, off)
}
