// Package bootargs keeps the words that the owner of a machine adds to the
// kernel command line.
//
// They are settings in grub.cfg on the OEM partition, as on Flatcar, where
// people, configs and flatcar-reset write them (format/grubcfg). The kernel of
// a release is one file with its own command line, so the words get to it in an
// add-on beside it on the EFI system partition, which systemd-stub joins to
// the line of whichever release starts (systemd-stub(7)). Sync makes the
// add-on of the settings; Change changes the settings first. On a machine
// without an OEM partition the add-on is all there is. An image whose settings
// are not empty has the add-on that Make makes from the beginning.
//
// The words of the image itself are part of the kernel file; they can be
// outdone by later ones, but not taken away.
package bootargs

import (
	"errors"
	"slices"
	"strings"

	"wellcar.dev/internal/format/cmdline"
)

// Edit adds items to a command line that it has not, and takes others away.
// An item of several words counts where they stand together.
func Edit(line string, add, remove []string) string {
	words := cmdline.Split(line)
	for _, item := range remove {
		for at := cmdline.Find(words, item); at >= 0; at = cmdline.Find(words, item) {
			words = slices.Delete(words, at, at+len(cmdline.Split(item)))
		}
	}
	for _, item := range add {
		if cmdline.Find(words, item) < 0 {
			words = append(words, cmdline.Split(item)...)
		}
	}
	return strings.Join(words, " ")
}

// edit is Edit, unless what it makes would be changed the next time again.
func edit(line string, add, remove []string) (string, error) {
	after := Edit(line, add, remove)
	if Edit(after, add, remove) != after {
		return "", errors.New("the kernel arguments contradict each other: words that are to be there are part of others that are not to be there")
	}
	return after, nil
}

// Follows tells whether a running kernel was started with the words now, and
// without those of before that are not among them.
func Follows(running, before, now string) bool {
	words := cmdline.Split(now)
	for _, w := range words {
		if !cmdline.Has(running, w) {
			return false
		}
	}
	for _, w := range cmdline.Split(before) {
		if !slices.Contains(words, w) && cmdline.Has(running, w) {
			return false
		}
	}
	return true
}
