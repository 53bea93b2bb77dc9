package zblock

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// text has something of everything that a block can be made of.
func text(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	var out []byte
	for len(out) < n {
		switch r.IntN(4) {
		case 0:
			for range r.IntN(40) {
				out = append(out, byte('a'+r.IntN(1+r.IntN(26))))
			}
		case 1:
			out = append(out, bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(300))...)
		default:
			if len(out) > 10 {
				at := r.IntN(len(out) - 4)
				if r.IntN(3) == 0 {
					at = max(0, len(out)-20)
				}
				out = append(out, out[at:min(len(out), at+3+r.IntN(1<<r.IntN(12)))]...)
			}
		}
	}
	return out[:n]
}

// parse is a simple search of matches.
func parse(all []byte, at int) (lits []byte, out []Sequence) {
	seen := map[[4]byte]int{}
	for i := range max(0, at-4) {
		seen[[4]byte(all[i:])] = i
	}
	n := uint32(0)
	for i := at; i < len(all); {
		m := 0
		from, ok := 0, false
		if i+4 <= len(all) {
			from, ok = seen[[4]byte(all[i:])]
			seen[[4]byte(all[i:])] = i
		}
		for ok && i+m < len(all) && all[from+m] == all[i+m] {
			m++
		}
		if m < 4 {
			lits, n = append(lits, all[i]), n+1
			i++
			continue
		}
		out = append(out, Sequence{n, uint32(m), uint32(i - from)})
		n, i = 0, i+m
	}
	return lits, out
}

// frame is a block as other programs know it.
func frame(body []byte) []byte {
	head := uint32(len(body))<<3 | 2<<1 | 1
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, byte(head), byte(head >> 8), byte(head >> 16)}, body...)
}

func TestBlocks(t *testing.T) {
	var e Encoder
	var d Decoder
	for seed := range uint64(200) {
		size := []int{1, 30, 1000, 20000, MaxSize}[seed%5]
		history := []int{0, 100, 200_000}[seed%3]
		all := text(history+size, seed)
		lits, sequences := parse(all, history)
		body, err := e.Append(nil, lits, sequences)
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{0, history / 2, history} {
			buf := make([]byte, len(all)-cut)
			copy(buf, all[cut:history])
			far := func(p []byte, back int) error {
				copy(p, all[cut-back:])
				return nil
			}
			if err := d.Decode(buf, history-cut, len(buf), body, far); err != nil || !bytes.Equal(buf, all[cut:]) {
				t.Fatalf("seed %d, cut %d: %v", seed, cut, err)
			}
		}
		options := []zstd.DOption{}
		if history > 0 {
			options = append(options, zstd.WithDecoderDictRaw(0, all[:history]))
		}
		r, err := zstd.NewReader(nil, options...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.DecodeAll(frame(body), nil); err != nil || !bytes.Equal(got, all[history:]) {
			t.Fatalf("seed %d: another decoder: %v", seed, err)
		}
		r.Close()
	}
}

// packed is a block of the end of some bytes.
func packed(t testing.TB, all []byte, history int) []byte {
	t.Helper()
	var e Encoder
	lits, sequences := parse(all, history)
	body, err := e.Append(nil, lits, sequences)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A window makes content in order, from any place on, and from what it no
// longer holds.
func TestWindow(t *testing.T) {
	const step = 100_000
	first := text(step, 3)
	all := append(bytes.Clone(first), bytes.Repeat([]byte("0123456789abcdef"), (Near+slack)/16)...)
	all = append(all, first...)
	w := NewWindow(bytes.NewReader(all))
	made := 0
	for at := 0; at < len(all); at += step {
		end := min(at+step, len(all))
		if at/step%7 == 3 {
			w = NewWindow(bytes.NewReader(all)) // as after a cut
		}
		if err := w.Move(int64(at)); err != nil {
			t.Fatal(err)
		}
		if at > step && at < Near || at/step%5 == 2 {
			w.Add(all[at:end]) // as of another release
			continue
		}
		got, err := w.Block(fromFar(t, all, at, end), end-at)
		if err != nil || !bytes.Equal(got, all[at:end]) {
			t.Fatalf("at %d: %v", at, err)
		}
		made++
	}
	if made < 50 {
		t.Errorf("only %d blocks", made)
	}
}

// fromFar is a block with a match from the start of everything, if it fits.
func fromFar(t *testing.T, all []byte, at, end int) []byte {
	t.Helper()
	lits, sequences := parse(all[at:end], 0)
	for from := range 16 {
		if at > 1000 && bytes.Equal(all[at:end], all[1000+from:1000+from+end-at]) {
			lits, sequences = nil, []Sequence{{0, uint32(end - at), uint32(at - 1000 - from)}}
		}
	}
	if n := len(all) - 100_000; at < n && n < end { // where the first bytes come again
		lits, sequences = all[at:n], []Sequence{{uint32(n - at), uint32(end - n), uint32(n)}}
	}
	var e Encoder
	body, err := e.Append(nil, lits, sequences)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Blocks that take what is not there, or make more or less than they should.
func TestRefuses(t *testing.T) {
	all := text(5000, 1)
	body := packed(t, all, 1000)
	w := NewWindow(bytes.NewReader(all))
	for _, size := range []int{0, 1, 3999, 4001, MaxSize + 1, 1 << 30} {
		if err := w.Move(1000); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Block(body, size); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for n := range body {
		if _, err := w.Block(body[:n], 4000); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d of %d: %v", n, len(body), err)
		}
	}
	var e Encoder
	before, err := e.Append(nil, nil, []Sequence{{0, 100, 1001}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Block(before, 100); !errors.Is(err, ErrDamaged) {
		t.Errorf("from before the start: %v", err)
	}
	if got, err := w.Block(body, 4000); err != nil || !bytes.Equal(got, all[1000:]) {
		t.Errorf("after all these: %v", err)
	}
}

// No bytes make the decoder panic, or write outside its range.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(20) {
		all := text(3000, seed)
		f.Add(packed(f, all, 1000), 2000)
	}
	history := text(1000, 99)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		buf := make([]byte, 1000+size+100)
		copy(buf, history)
		far := func(p []byte, back int) error { return ErrDamaged }
		var d Decoder
		if err := d.Decode(buf, 1000, 1000+size, body, far); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if !bytes.Equal(buf[:1000], history) || !bytes.Equal(buf[1000+size:], make([]byte, 100)) {
			t.Error("a write outside the range")
		}
	})
}
