package legacy

import (
	spec2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/v3_1/types"
)

// units converts the units; several entries of one unit become one.
func (c *converter) units() {
	index := map[string]int{}
	for i, u := range c.in.Systemd.Units {
		n, again := index[u.Name]
		if !again {
			n = len(c.out.Systemd.Units)
			index[u.Name] = n
			c.out.Systemd.Units = append(c.out.Systemd.Units, types.Unit{Name: u.Name})
			c.from(entry("systemd.units", n), "systemd", "units", i)
		}
		c.mergeUnit(n, i, u)
	}
}

// mergeUnit lays an entry over what earlier entries of the unit gave.
func (c *converter) mergeUnit(n, i int, u spec2.Unit) {
	out, to, at := &c.out.Systemd.Units[n], entry("systemd.units", n), []any{"systemd", "units", i}
	if enabled, field := enabled(u); enabled != nil {
		out.Enabled = enabled
		c.from(to+".enabled", append(at, field)...)
	}
	if u.Mask {
		out.Mask = yes(true)
		c.from(to+".mask", append(at, "mask")...)
	}
	if u.Contents != "" {
		out.Contents = text(u.Contents)
		c.from(to+".contents", append(at, "contents")...)
	}
	for k, d := range u.Dropins {
		j := dropin(out.Dropins, d.Name)
		if j == len(out.Dropins) {
			out.Dropins = append(out.Dropins, types.Dropin{Name: d.Name})
		} else {
			c.warn("drop-in "+d.Name+" of unit "+u.Name+" is given before, and this one replaces it", "drop one of the two", append(at[:3:3], "dropins", k, "name")...)
		}
		out.Dropins[j].Contents = text(d.Contents)
		c.from(entry(to+".dropins", j), append(at[:3:3], "dropins", k)...)
	}
}

// enabled says what a unit's entry wants, and in which field. The older one,
// enable, gives way to enabled.
func enabled(u spec2.Unit) (value *bool, field string) {
	switch {
	case u.Enabled != nil && (!*u.Enabled || !u.Enable):
		return u.Enabled, "enabled"
	case u.Enable:
		return yes(true), "enable"
	}
	return nil, ""
}

// dropin is the index of a drop-in, or of the place for a new one.
func dropin(list []types.Dropin, name string) int {
	for i := range list {
		if list[i].Name == name {
			return i
		}
	}
	return len(list)
}
