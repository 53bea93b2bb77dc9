package daytwo

import (
	"slices"
	"strings"
)

// presetsMade tells whether a first boot makes a preset file of the wanted
// lines. It writes "disable" only for units that were enabled.
func presetsMade(want, now string) bool {
	lines := slices.Collect(strings.Lines(now))
	for line := range strings.Lines(want) {
		switch {
		case len(lines) > 0 && (lines[0] == line || disables(line) && lessThan(lines[0], line)):
			lines = lines[1:]
		case !disables(line):
			return false
		}
	}
	return len(lines) == 0
}

func disables(line string) bool { return strings.HasPrefix(line, "disable ") }

// lessThan tells whether a line disables some instances of those that the other
// disables.
func lessThan(line, of string) bool {
	some, all := strings.Fields(line), strings.Fields(of)
	if len(some) < 3 || len(all) < 3 || !slices.Equal(some[:2], all[:2]) {
		return false
	}
	return len(without(some[2:], all[2:])) == 0
}
