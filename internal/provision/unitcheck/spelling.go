package unitcheck

import (
	"maps"
	"slices"
	"strings"
)

// meant is the name of a section that a wrong one is closest to: at most two
// letters changed, added, dropped or swapped. It is empty if there is none.
func meant(section, name string) string {
	best, least := "", 3
	for _, known := range slices.Sorted(maps.Keys(items()[section])) {
		if d := distance(strings.ToLower(known), strings.ToLower(name)); d < least {
			best, least = known, d
		}
	}
	return best
}

// distance counts the letters to change, add, drop or swap between two words
// (the restricted Damerau-Levenshtein distance).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range len(a) {
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			rows[i+1][j+1] = min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
