package preview

import (
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/format/unitfile"
	"wellcar.dev/internal/provision"
)

// Unit is what becomes of a unit that a config names.
type Unit struct {
	Name  string             `json:"name"`
	State State              `json:"state"`
	From  string             `json:"from"` // config, image, config over image, or nowhere
	Why   string             `json:"why,omitempty"`
	At    provision.Position `json:"at,omitzero"`
}

// State is how a unit stands after the first boot, in the words of systemctl
// is-enabled.
type State string

// The states.
const (
	Enabled  State = "enabled"
	Disabled State = "disabled"
	Masked   State = "masked"
	Static   State = "static"
	Kept     State = "kept" // as the image has it
	NotFound State = "not-found"
)

func units(c provision.Config, image *Image) []Unit {
	var out []Unit
	for i, u := range c.Ignition.Systemd.Units {
		own := util.NotEmpty(u.Contents) || ownTemplate(c, u.Name) != nil
		_, shipped := image.Unit(u.Name)
		unit := Unit{Name: u.Name, From: from(own, shipped, image), At: c.Position("systemd", "units", i)}
		unit.State, unit.Why = state(c, u, image, own, shipped)
		out = append(out, unit)
	}
	return out
}

func from(own, shipped bool, image *Image) string {
	switch {
	case own && shipped:
		return "config over image"
	case own:
		return "config"
	case shipped:
		return "image"
	case image == nil:
		return "unknown"
	}
	return "nowhere"
}

func state(c provision.Config, u types.Unit, image *Image, own, shipped bool) (State, string) {
	installs := installs(c, u)
	switch {
	case util.IsTrue(u.Mask):
		return Masked, ""
	case !own && !shipped && image != nil:
		return NotFound, "neither the config nor the image has it"
	case util.IsTrue(u.Enabled) && own && !installs:
		return Static, "no [Install] section"
	case util.IsTrue(u.Enabled):
		return Enabled, "preset of this config"
	case util.IsFalse(u.Enabled):
		return Disabled, "preset of this config"
	case own && !installs:
		return Static, "started by other units only"
	case own:
		return Disabled, "no preset enables it"
	case image.Wanted(u.Name):
		return Enabled, "the image starts it"
	}
	return Kept, ""
}

// installs tells whether a unit's own text says where enabling puts it.
func installs(c provision.Config, u types.Unit) bool {
	texts := []string{}
	for _, t := range []*types.Unit{&u, ownTemplate(c, u.Name)} {
		if t != nil {
			texts = append(texts, unitText(*t))
		}
	}
	for _, a := range unitfile.Parse(strings.Join(texts, "\n")).Assignments {
		if a.Section == "Install" && a.Value != "" {
			return true
		}
	}
	return false
}

// ownTemplate is the template of an instance if the config has its text.
func ownTemplate(c provision.Config, name string) *types.Unit {
	t := template(name)
	for i, u := range c.Ignition.Systemd.Units {
		if t != "" && u.Name == t && util.NotEmpty(u.Contents) {
			return &c.Ignition.Systemd.Units[i]
		}
	}
	return nil
}
