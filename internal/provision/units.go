package provision

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

const (
	unitDir    = "/etc/systemd/system"
	presetFile = "/etc/systemd/system-preset/20-ignition.preset"
)

// WriteUnit writes a unit's text, replacing the file that is there.
type WriteUnit struct {
	Unit    string   `json:"unit"`
	Content *Content `json:"content"`
}

// WriteDropin writes a drop-in of a unit, replacing the file that is there.
type WriteDropin struct {
	Unit    string   `json:"unit"`
	Name    string   `json:"name"`
	Content *Content `json:"content"`
}

// EnablePreset adds the line that makes the first boot enable a unit.
type EnablePreset struct {
	Unit      string   `json:"unit"`
	Instances []string `json:"instances,omitempty"` // of a template
}

// DisablePreset disables those units that are enabled, and adds the line that
// keeps the first boot from enabling them.
type DisablePreset struct {
	Unit      string   `json:"unit"`
	Instances []string `json:"instances,omitempty"` // of a template
}

// Mask makes the unit's file a link to /dev/null.
type Mask struct {
	Unit string `json:"unit"`
}

// Unmask removes the unit's file if it is a link to /dev/null.
type Unmask struct {
	Unit string `json:"unit"`
}

// Kind implements Action.
func (*WriteUnit) Kind() string { return "writeUnit" }

// Kind implements Action.
func (*WriteDropin) Kind() string { return "writeDropin" }

// Kind implements Action.
func (*EnablePreset) Kind() string { return "enablePreset" }

// Kind implements Action.
func (*DisablePreset) Kind() string { return "disablePreset" }

// Kind implements Action.
func (*Mask) Kind() string { return "mask" }

// Kind implements Action.
func (*Unmask) Kind() string { return "unmask" }

// Summary implements Action.
func (a *WriteUnit) Summary() Summary {
	return Summary{"write", "wrote", "unit", a.Unit, a.Content.String()}
}

// Summary implements Action.
func (a *WriteDropin) Summary() Summary {
	return Summary{"write", "wrote", "drop-in", a.Unit + ".d/" + a.Name, a.Content.String()}
}

// Summary implements Action.
func (a *EnablePreset) Summary() Summary {
	return Summary{"enable", "enabled", "unit", a.Unit, instances(a.Instances)}
}

// Summary implements Action.
func (a *DisablePreset) Summary() Summary {
	return Summary{"disable", "disabled", "unit", a.Unit, instances(a.Instances)}
}

// Summary implements Action.
func (a *Mask) Summary() Summary { return Summary{"mask", "masked", "unit", a.Unit, ""} }

// Summary implements Action.
func (a *Unmask) Summary() Summary { return Summary{"unmask", "unmasked", "unit", a.Unit, ""} }

func instances(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "instances " + strings.Join(names, " ")
}

func (a *WriteUnit) path() string   { return path.Join(unitDir, a.Unit) }
func (a *WriteDropin) path() string { return path.Join(unitDir, a.Unit+".d", a.Name) }

// units plans the texts of all units, then what is enabled and disabled, then
// masks.
func (b *builder) units() {
	presets := map[presetKey]*preset{}
	for i, u := range b.Ignition.Systemd.Units {
		p := Path{"systemd", "units", i}
		if !b.fileName(p, u.Name) {
			continue
		}
		b.unitTexts(p, u)
		if u.Enabled != nil {
			b.gatherPreset(presets, p.with("enabled"), u)
		}
	}
	b.presets(presets)
	for i, u := range b.Ignition.Systemd.Units {
		p := Path{"systemd", "units", i, "mask"}
		switch {
		case util.IsTrue(u.Mask):
			b.add(StageFiles, p, &Mask{u.Name})
		case util.IsFalse(u.Mask):
			b.add(StageFiles, p, &Unmask{u.Name})
		}
	}
}

// unitTexts plans drop-ins, also empty ones, then the unit unless empty.
func (b *builder) unitTexts(p Path, u types.Unit) {
	for i, d := range u.Dropins {
		at := p.with("dropins", i)
		if d.Contents != nil && b.fileName(at, d.Name) {
			b.add(StageFiles, at, &WriteDropin{u.Name, d.Name, NewContent([]byte(*d.Contents))})
		}
	}
	if util.NotEmpty(u.Contents) {
		b.add(StageFiles, p, &WriteUnit{u.Name, NewContent([]byte(*u.Contents))})
	}
}

func (b *builder) fileName(p Path, name string) bool {
	if name == "" || strings.ContainsAny(name, "/\n\x00 ") {
		b.fail(p.with("name"), "this is no name of a file", "write the name without folders and spaces")
		return false
	}
	return true
}

type presetKey struct {
	unit    string
	enabled bool
}

type preset struct {
	at        Path
	instances []string
}

func (b *builder) gatherPreset(all map[presetKey]*preset, p Path, u types.Unit) {
	template, instance := splitInstance(u.Name)
	key := presetKey{template, *u.Enabled}
	if all[key] == nil {
		all[key] = &preset{at: p}
	}
	if instance != "" {
		all[key].instances = append(all[key].instances, instance)
	}
}

// splitInstance turns echo@one.service into echo@.service and one. Other
// names come back whole, without an instance.
func splitInstance(unit string) (template, instance string) {
	before, rest, found := strings.Cut(unit, "@")
	dot := strings.LastIndexByte(rest, '.')
	if !found || dot <= 0 {
		return unit, ""
	}
	return fmt.Sprintf("%s@%s", before, rest[dot:]), rest[:dot]
}

func (b *builder) presets(all map[presetKey]*preset) {
	keys := make([]presetKey, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		if keys[i].unit != keys[j].unit {
			return keys[i].unit < keys[j].unit
		}
		return !keys[i].enabled
	})
	for _, k := range keys {
		if k.enabled {
			b.add(StageFiles, all[k].at, &EnablePreset{k.unit, all[k].instances})
		} else {
			b.add(StageFiles, all[k].at, &DisablePreset{k.unit, all[k].instances})
		}
	}
}
