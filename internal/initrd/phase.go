//go:build linux

package initrd

import (
	"fmt"
	"strings"
	"time"
)

// Phase is one step of the boot in time. Times count from the kernel's start.
type Phase struct {
	Name       string
	Start, End time.Duration
}

// String is the line in the kernel log: "phase modules 0.412s, 2.100s after the kernel's start".
func (p Phase) String() string {
	return fmt.Sprintf("phase %s %.3fs, %.3fs after the kernel's start", p.Name, (p.End - p.Start).Seconds(), p.End.Seconds())
}

// PhaseFile is where the phases are left for the booted system, as
// {"phases":[{"name":"modules","start_us":1,"end_us":2}]}.
const PhaseFile = "/run/wellcar/boot.json"

// marshalPhases writes the JSON by hand: names are plain words, and the JSON
// package would be a tenth of the program.
func marshalPhases(phases []Phase) []byte {
	items := make([]string, len(phases))
	for i, p := range phases {
		items[i] = fmt.Sprintf(`{"name":%q,"start_us":%d,"end_us":%d}`, p.Name, p.Start.Microseconds(), p.End.Microseconds())
	}
	return []byte(`{"phases":[` + strings.Join(items, ",") + "]}\n")
}
