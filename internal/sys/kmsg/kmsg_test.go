package kmsg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// records keeps the writes apart, as the device does.
type records []string

func (r *records) Write(p []byte) (int, error) {
	*r = append(*r, string(p))
	return len(p), nil
}

func TestPrintf(t *testing.T) {
	var got records
	l := New(&got, "init")
	l.Printf(Warning, "one %d\ntwo\n", 1)
	l.Printf(Info, "%s", strings.Repeat("x", maxText+1))
	want := records{"<4>init: one 1\n", "<4>init: two\n", "<6>init: " + strings.Repeat("x", maxText) + "\n", "<6>init: x\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestZeroLogIsSilent(t *testing.T) {
	var l Log
	l.Printf(Error, "nothing") // must not panic
}
