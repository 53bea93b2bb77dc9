//go:build linux

package main

import (
	"strings"
	"testing"

	"wellcar.dev/internal/bootargs"
)

func TestRestartFor(t *testing.T) {
	some := []string{"a"}
	for _, c := range []struct {
		out     bootargs.Outcome
		changed bool // before, in this boot
		restart bool
		fails   bool
	}{
		{bootargs.Outcome{Changed: true, Missing: some}, true, true, false},
		{bootargs.Outcome{Changed: true, Left: some}, true, true, false},
		{bootargs.Outcome{Changed: true}, true, false, false}, // GRUB read the settings
		{bootargs.Outcome{}, false, false, false},
		{bootargs.Outcome{Left: some}, false, false, false}, // a word of somebody else's
		{bootargs.Outcome{Missing: some}, false, false, true},
		{bootargs.Outcome{Missing: some}, true, true, false}, // asked for twice before the restart
		{bootargs.Outcome{}, true, false, false},
	} {
		for _, uefi := range []bool{false, true} {
			restart, err := restartFor(c.out, c.changed, uefi)
			if restart != c.restart || (err != nil) != c.fails {
				t.Errorf("%+v: %v, %v", c.out, restart, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "the kernel was started without a, which") {
				t.Error(err)
			}
		}
	}
}
