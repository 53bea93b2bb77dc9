//go:build linux

package update

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/slot"
)

// facts are those of a machine that runs 1.0.0 in slot A.
func facts(t *testing.T, kernels ...string) Facts {
	t.Helper()
	f := Facts{Version: "1.0.0", State: slot.State{Booted: slot.A, Running: [32]byte{1}, Holds: map[slot.ID]slot.Key{slot.A: KeyOf([32]byte{1}), slot.B: KeyOf([32]byte{2})}}}
	for _, name := range kernels {
		n, ok := slot.ParseName(name)
		if !ok {
			t.Fatal(name)
		}
		k := slot.Kernel{Name: n, RootHash: [32]byte{1}}
		if n.Version != f.Version {
			k.RootHash = [32]byte{2}
		}
		f.State.Kernels = append(f.State.Kernels, k)
	}
	return f
}

func TestSummary(t *testing.T) {
	for kernel, want := range map[string]string{
		"":                      `"B":{"state":"none"}},"next":"1.0.0"`,
		"wellcar-2.0.0.efi":     `"B":{"version":"2.0.0","state":"good"}},"next":"2.0.0"`,
		"wellcar-2.0.0+3.efi":   `"B":{"version":"2.0.0","state":"trial","starts":3}},"next":"2.0.0"`,
		"wellcar-2.0.0+0-3.efi": `"B":{"version":"2.0.0","state":"given-up"}},"next":"1.0.0"`,
		"wellcar-2.0.0+0.efi":   `"B":{"version":"2.0.0","state":"held-trial"}},"next":"1.0.0"`,
		"wellcar-2.0.0+0-0.efi": `"B":{"version":"2.0.0","state":"held"}},"next":"1.0.0"`,
		"wellcar-2.0.0+2-1.efi": `"B":{"version":"2.0.0","state":"trial","starts":2}},"next":"2.0.0"`,
		"wellcar-10.0.0.efi":    `"B":{"version":"10.0.0","state":"good"}},"next":"10.0.0"`,
		"wellcar-0.9.0+0-1.efi": `"B":{"version":"0.9.0","state":"given-up"}},"next":"1.0.0"`,
	} {
		kernels := []string{"wellcar-1.0.0.efi"}
		if kernel != "" {
			kernels = append(kernels, kernel)
		}
		data, err := json.Marshal(facts(t, kernels...).Summary())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) || !strings.Contains(string(data), `"A":{"version":"1.0.0","state":"good"}`) || !strings.Contains(string(data), `"givenUp":[]`) {
			t.Errorf("%s: %s, want %s", kernel, data, want)
		}
	}
}

func TestExplain(t *testing.T) {
	f := facts(t, "wellcar-1.0.0.efi", "wellcar-2.0.0+0-3.efi")
	f.Bad = []slot.Bad{{Version: "2.0.0", Reason: "the web did not hold", When: time.Unix(0, 0)}}
	f.Kept.Decision = Decision{Version: "2.0.0", Outcome: "bad", Reason: "the web did not hold", When: "1970-01-01T00:00:00Z"}
	const want = `Running:       1.0.0 in slot A, good
Other slot:    2.0.0 in slot B, given up
Next boot:     1.0.0
Updates:       off, because SERVER=
Last decision: 2.0.0 is given up: the web did not hold (1970-01-01T00:00:00Z)
Given up:      2.0.0 on 1970-01-01: the web did not hold
`
	if got := f.Explain(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
