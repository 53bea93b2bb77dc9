package release

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions orders two versions MAJOR.MINOR.PATCH by their numbers: it
// is negative if a is older. What is not a number counts as zero.
func CompareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := cmp.Compare(number(as, i), number(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func number(parts []string, i int) uint64 {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.ParseUint(parts[i], 10, 64)
	return n
}
