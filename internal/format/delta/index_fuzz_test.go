package delta

import (
	"bytes"
	"testing"
)

// An index that is accepted encodes to the bytes that it was read from.
func FuzzIndex(f *testing.F) {
	h := Head{To: Release{UsrSize: 2 * BlockSize}, Segments: make([]Segment, 1)}
	f.Add(MarshalIndex(Index{Blocks: []uint32{1, 2}, Checks: make([]Check, 1)}))
	f.Add([]byte(indexMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := ParseIndex(data, h)
		if err == nil && !bytes.Equal(MarshalIndex(x), data) && len(data) < 1<<10 {
			t.Errorf("%x became another index", data)
		}
	})
}
