package preview

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/format/unitfile"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/unitcheck"
)

// CheckUnits looks at the units of a config as systemd would. Text is what the
// user wrote, in which lines of units are found; image may be nil. A config
// that refers to others may get programs and units from them.
func CheckUnits(c provision.Config, text provision.YAML, image *Image) provision.Report {
	return checkUnits(c, image, func(at provision.Path, line int) provision.Position {
		place := c.Position(at...)
		written := text.At(place.Line, place.Column)
		if within, ok := text.Within(written, line); ok && place.File == text.File() && written[len(written)-1] == at[len(at)-1] {
			return within
		}
		return place
	})
}

// CheckUnitsAt is CheckUnits for units that no config has: place finds a line,
// from 1, of an element such as systemd.units[0].contents, or the element
// itself for line 0.
func CheckUnitsAt(c types.Config, image *Image, place func(at provision.Path, line int) provision.Position) provision.Report {
	return checkUnits(provision.Config{Ignition: c}, image, place)
}

func checkUnits(c provision.Config, image *Image, place func(at provision.Path, line int) provision.Position) provision.Report {
	unknown := image == nil || refers(c)
	k := checker{place: place, machine: unitcheck.Machine{
		File: func(name string) bool { return unknown || hasFile(c, image, name) },
		Unit: func(name string) bool { return unknown || hasUnit(c, image, name) },
	}}
	for i, u := range c.Ignition.Systemd.Units {
		k.unit(i, u)
	}
	return k.report.Sorted()
}

// CheckMerged looks at the units of a config with all that it refers to, and
// leaves out what CheckUnits told about it before.
func CheckMerged(before, merged provision.Config, image *Image) provision.Report {
	if !refers(before) {
		return nil
	}
	told := map[string]bool{}
	for _, p := range CheckUnits(before, provision.YAML{}, image) {
		told[p.Message] = true
	}
	return slices.DeleteFunc(CheckUnits(merged, provision.YAML{}, image), func(p provision.Problem) bool { return told[p.Message] })
}

// refers tells whether a config needs others.
func refers(c provision.Config) bool {
	section := c.Ignition.Ignition.Config
	return section.Replace.Source != nil || len(section.Merge) > 0
}

type checker struct {
	place   func(at provision.Path, line int) provision.Position
	machine unitcheck.Machine
	report  provision.Report
}

func (k *checker) unit(i int, u types.Unit) {
	at := provision.Path{"systemd", "units", i}
	var all []string
	if util.NotEmpty(u.Contents) {
		all = append(all, *u.Contents)
		k.add(at, "contents", "unit "+u.Name, unitcheck.Text(u.Name, *u.Contents))
	}
	for n, d := range u.Dropins {
		if util.NotEmpty(d.Contents) {
			all = append(all, *d.Contents)
			place := append(at[:3:3], "dropins", n)
			object := fmt.Sprintf("drop-in %s of unit %s", d.Name, u.Name)
			k.add(place, "contents", object, unitcheck.Text(u.Name, *d.Contents))
			k.add(place, "contents", object, unitcheck.References(*d.Contents, k.machine))
		}
	}
	if util.NotEmpty(u.Contents) {
		k.add(at, "contents", "unit "+u.Name, unitcheck.Unit(u.Name, all...))
		k.add(at, "contents", "unit "+u.Name, unitcheck.Activates(u.Name, k.machine, all...))
		k.add(at, "contents", "unit "+u.Name, unitcheck.References(*u.Contents, k.machine))
	}
}

func (k *checker) add(at provision.Path, field, object string, found []unitcheck.Finding) {
	at = append(at[:len(at):len(at)], field)
	for _, f := range found {
		k.report = append(k.report, provision.Problem{Severity: provision.Warning, Position: k.place(at, f.Line), Path: at.String(), Message: object + ": " + f.Message, Remedy: f.Remedy})
	}
}

// hasFile tells whether a program is there: below the folders of the image
// that is known, elsewhere anything may come at run time.
func hasFile(c provision.Config, image *Image, name string) bool {
	if !strings.HasPrefix(place(name), "/usr/") || strings.HasPrefix(name, "/usr/local/") && hasNode(c, name) {
		return true
	}
	if e, ok := image.Follow(name); ok && e.Kind == File {
		return true
	}
	return hasNode(c, name) || extended(c)
}

// hasNode tells whether the config makes a path.
func hasNode(c provision.Config, name string) bool {
	s := c.Ignition.Storage
	for _, f := range s.Files {
		if f.Path == name {
			return true
		}
	}
	for _, l := range s.Links {
		if l.Path == name || strings.HasPrefix(name, l.Path+"/") {
			return true
		}
	}
	return false
}

// extended tells whether the config brings extensions of /usr.
func extended(c provision.Config) bool {
	s := c.Ignition.Storage
	names := make([]string, 0, len(s.Files)+len(s.Links))
	for _, f := range s.Files {
		names = append(names, f.Path)
	}
	for _, l := range s.Links {
		names = append(names, l.Path)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "/etc/extensions/") || n == "/etc/flatcar/enabled-sysext.conf" || strings.HasPrefix(n, "/etc/sysupdate") {
			return true
		}
	}
	return false
}

func hasUnit(c provision.Config, image *Image, name string) bool {
	switch path.Ext(name) {
	case ".mount", ".swap", ".slice", ".scope", ".device":
		return true // systemd makes them
	}
	for _, u := range c.Ignition.Systemd.Units {
		if (u.Name == name || u.Name == template(name)) && util.NotEmpty(u.Contents) || isAlias(u, name) {
			return true
		}
	}
	for _, dir := range unitFolders {
		if hasNode(c, dir+name) || template(name) != "" && hasNode(c, dir+template(name)) {
			return true
		}
	}
	_, ok := image.Unit(name)
	return ok || extended(c)
}

// Folders in which a config may put units as files.
var unitFolders = []string{"/etc/systemd/system/", "/usr/local/lib/systemd/system/"}

// isAlias tells whether a unit has a second name when it is enabled.
func isAlias(u types.Unit, name string) bool {
	for _, a := range unitfile.Parse(unitText(u)).Assignments {
		if a.Section == "Install" && a.Name == "Alias" && slices.Contains(strings.Fields(a.Value), name) {
			return true
		}
	}
	return false
}

// unitText is the text of a unit and its drop-ins.
func unitText(u types.Unit) string {
	var texts []string
	if u.Contents != nil {
		texts = append(texts, *u.Contents)
	}
	for _, d := range u.Dropins {
		if d.Contents != nil {
			texts = append(texts, *d.Contents)
		}
	}
	return strings.Join(texts, "\n")
}
