package bsdiff

import (
	"bytes"
	"index/suffixarray"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
)

func random(n int, letters byte, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.UintN(uint(letters)))
	}
	return out
}

func TestSuffixesAreSorted(t *testing.T) {
	texts := [][]byte{nil, {5}, {1, 1}, []byte("banana"), []byte("mississippi"), bytes.Repeat([]byte{0}, 1000), bytes.Repeat([]byte{1, 0}, 500),
		random(3000, 2, 1), random(3000, 255, 2), []byte(strings.Repeat("abcabd", 300))}
	for _, text := range texts {
		want := make([]int32, len(text))
		for i := range want {
			want[i] = int32(i)
		}
		sort.Slice(want, func(a, b int) bool { return bytes.Compare(text[want[a]:], text[want[b]:]) < 0 })
		got := sortSuffixes(text)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%.20q: at %d suffix %d, want %d", text, i, got[i], want[i])
			}
		}
	}
}

// changed is old with edits of the kinds that programs undergo.
func changed(old []byte, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 2))
	out := bytes.Clone(old)
	for i := 0; i < len(out); i += 50 + int(r.UintN(100)) {
		out[i]++
	}
	cut := len(out) / 3
	out = append(append(bytes.Clone(out[cut:]), random(200, 255, seed)...), out[:cut]...)
	return append(out, out[10:300]...)
}

func TestRoundTrip(t *testing.T) {
	old := random(20_000, 255, 7)
	for name, c := range map[string][2][]byte{
		"equal": {old, old}, "changed": {old, changed(old, 3)}, "nothing old": {nil, old}, "nothing new": {old, nil},
		"unrelated": {old, random(5000, 255, 9)}, "zeros": {make([]byte, 5000), make([]byte, 7000)}, "shorter": {old, old[5:100]},
	} {
		p := NewIndex(c[0]).Diff(c[1])
		got, ok := Apply(c[0], p)
		if !ok || !bytes.Equal(got, c[1]) {
			t.Errorf("%s: %d bytes came back, want %d", name, len(got), len(c[1]))
		}
	}
	p := NewIndex(old).Diff(changed(old, 3))
	if len(p.Extra) > 600 {
		t.Errorf("%d new bytes for 200 that are new", len(p.Extra))
	}
}

func FuzzDiff(f *testing.F) {
	f.Add([]byte("the quick brown fox jumps"), []byte("the quick red fox jumped over"))
	f.Add([]byte{}, []byte("x"))
	f.Add(random(300, 3, 1), random(300, 3, 2))
	f.Fuzz(func(t *testing.T, old, text []byte) {
		got, ok := Apply(old, NewIndex(old).Diff(text))
		if !ok || !bytes.Equal(got, text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func BenchmarkSuffixes(b *testing.B) {
	text := random(4<<20, 30, 1)
	b.SetBytes(int64(len(text)))
	for range b.N {
		sortSuffixes(text)
	}
}

func BenchmarkStandardLibrary(b *testing.B) {
	text := random(4<<20, 30, 1)
	b.SetBytes(int64(len(text)))
	for range b.N {
		suffixarray.New(text)
	}
}
