package slot

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Dir is where unified kernel images lie on the EFI system partition.
const Dir = "EFI/Linux"

// Tries is how many starts a new image gets.
const Tries = 3

// Name is what the file name of a unified kernel image says.
type Name struct {
	Version  string
	Counted  bool // there is a counter: not known to be good
	Left     int  // starts left
	Done     int  // starts used
	Unproved bool // to be started last, before it could prove itself
}

var namePattern = regexp.MustCompile(`^wellcar-([0-9][0-9A-Za-z.~-]*?)(?:\+([0-9]{1,4})(?:-([0-9]{1,4}))?)?\.efi$`)

// ParseName reads a file name; ok is false for files of others.
func ParseName(file string) (n Name, ok bool) {
	m := namePattern.FindStringSubmatch(file)
	if m == nil {
		return Name{}, false
	}
	n = Name{Version: m[1], Counted: m[2] != ""}
	n.Left, _ = strconv.Atoi(m[2])
	n.Done, _ = strconv.Atoi(m[3])
	n.Unproved = n.Counted && n.Left == 0 && m[3] == ""
	return n, true
}

// File is the file name.
func (n Name) File() string {
	switch {
	case !n.Counted:
		return "wellcar-" + n.Version + ".efi"
	case n.Unproved:
		return "wellcar-" + n.Version + "+0.efi"
	case n.Done == 0 && n.Left > 0:
		return fmt.Sprintf("wellcar-%s+%d.efi", n.Version, n.Left)
	}
	return fmt.Sprintf("wellcar-%s+%d-%d.efi", n.Version, n.Left, n.Done)
}

// Good says that the image has proved itself, be it first or held back.
func (n Name) Good() bool { return !n.Counted || n.HeldBack() }

// HeldBack says that a good image is to be started last.
func (n Name) HeldBack() bool { return n.Counted && n.Left == 0 && n.Done == 0 && !n.Unproved }

// Spent says that every start was used without success.
func (n Name) Spent() bool { return n.Counted && n.Left == 0 && n.Done > 0 }

// held is the name of an image that is to be started last, though it was not
// given up.
func (n Name) held() Name {
	return Name{Version: n.Version, Counted: true, Unproved: !n.Good()}
}

// released is the name of an image that is to be started in its turn again.
// Whatever was used of its trial, the trial begins anew.
func (n Name) released() Name {
	if n.Good() {
		return Name{Version: n.Version}
	}
	return Name{Version: n.Version, Counted: true, Left: Tries}
}

// Compare orders versions as systemd-boot does for those that are numbers
// with dots; "1.2.3" is above "1.2.3~rc" and below "1.2.3-1".
func Compare(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = token(a)
		y, b = token(b)
		if c := compareToken(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// token cuts off a number, or one other character.
func token(s string) (head, rest string) {
	if s == "" {
		return "", ""
	}
	n := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n = max(n, 1)
	return s[:n], s[n:]
}

func compareToken(x, y string) int {
	switch {
	case x == y:
		return 0
	case x == "~", y == "~":
		return before(x == "~")
	case x == "", y == "":
		return before(x == "")
	case isNumber(x) && isNumber(y):
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	case isNumber(x), isNumber(y):
		return before(!isNumber(x))
	}
	return cmp.Compare(x, y)
}

func isNumber(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

func before(yes bool) int {
	if yes {
		return -1
	}
	return 1
}
