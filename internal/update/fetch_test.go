//go:build linux

package update

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// TestRangesShareAConnection: pieces here and there, as by the block index,
// are asked for with their end, so that no connection is cut for them.
func TestRangesShareAConnection(t *testing.T) {
	content := make([]byte, 100_000)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	from := map[string]bool{}
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		ranges = append(ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	s := &stream{remote: &Remote{Client: server.Client(), Stall: time.Minute}, url: server.URL, base: 100}
	defer s.close()
	var want []string
	for offset := int64(900); offset < 90_000; offset += 20_000 {
		s.until(offset + 3000)
		for at := offset; at < offset+3000; at += 1000 {
			p := make([]byte, 1000)
			if err := s.read(t.Context(), p, at); err != nil || !bytes.Equal(p, content[100+at:100+at+1000]) {
				t.Fatalf("at %d: %v", at, err)
			}
		}
		want = append(want, fmt.Sprintf("bytes=%d-%d", 100+offset, 100+offset+2999))
	}
	p := make([]byte, 10)
	s.until(83_910)
	if err := s.read(t.Context(), p, 83_900); err != nil || !bytes.Equal(p, content[84_000:84_010]) { // where the last one ended
		t.Error(err)
	}
	if want = append(want, "bytes=84000-84009"); !slices.Equal(ranges, want) || len(from) != 1 {
		t.Errorf("%d connections asked for %q", len(from), ranges)
	}
}
