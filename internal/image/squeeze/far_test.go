package squeeze

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func random(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.UintN(50))
	}
	return out
}

func TestRepeats(t *testing.T) {
	again := random(200_000, 1)
	data := append(append(append([]byte{}, again...), random(100_000, 2)...), again...)
	found, err := repeats(bytes.NewReader(data), int64(len(data)), 50_000)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, m := range found {
		if !bytes.Equal(data[m.at:m.at+m.size], data[m.from:m.from+m.size]) || m.from+m.size > m.at {
			t.Errorf("%+v is none", m)
		}
		total += m.size
	}
	if total < 199_000 {
		t.Errorf("found %d bytes of 200000", total)
	}
}
