// Package preview says what a plan will mean on a machine with a certain
// image: which files of the image are replaced, what becomes of the units,
// what the downloads are, how often the machine restarts, and which known
// traps the config steps into. It changes nothing; Check fetches.
//
//	p := preview.Make(config, plan, preview.Options{Image: image})
//	p.Check(ctx, fetcher)
//	fmt.Print(p.Render())
package preview

import (
	"encoding/json"

	"wellcar.dev/internal/provision"
)

// Options are what is known of the machine. The zero value knows nothing.
type Options struct {
	Image   *Image // nil: unknown
	Offline bool   // downloads cannot be checked
	Kernel  string // words that the image starts its kernel with; empty if they are not known
}

// Preview is a plan with what it will mean.
type Preview struct {
	provision.Plan
	Replaced  []Replaced       `json:"replaced,omitempty"`
	Units     []Unit           `json:"units,omitempty"`
	Downloads []Download       `json:"downloads,omitempty"`
	Reboots   []Reboot         `json:"reboots,omitempty"`
	Problems  provision.Report `json:"problems,omitempty"` // what the first boot would stop at

}

// Replaced is a file of the image that the machine will not see any more.
type Replaced struct {
	Path string             `json:"path"`
	Step int                `json:"step"` // index of the step in the plan
	At   provision.Position `json:"at,omitzero"`
	Was  Entry              `json:"was"`
}

// Reboot is a restart during the first boot.
type Reboot struct {
	Why string             `json:"why"`
	At  provision.Position `json:"at,omitzero"`
}

// Make looks at a plan. The config must be the one that it was made of, after
// Config.Render.
func Make(c provision.Config, plan provision.Plan, opt Options) *Preview {
	p := &Preview{Plan: plan, Units: units(c, opt.Image), Downloads: downloads(plan), Reboots: reboots(c, opt.Kernel)}
	p.Replaced = replaced(plan, opt.Image)
	warnings := append(p.Warnings[:len(p.Warnings):len(p.Warnings)], p.warnings(c, opt)...)
	for _, found := range clashes(plan, opt.Image) {
		if found.Severity == provision.Error {
			p.Problems = append(p.Problems, found)
		} else {
			warnings = append(warnings, found)
		}
	}
	p.Warnings = warnings.Sorted()
	return p
}

// reboots are for kernel arguments that the image's line lacks.
func reboots(c provision.Config, line string) []Reboot {
	at := c.KernelChange(line, line)
	if at == nil {
		return nil
	}
	return []Reboot{{"kernel arguments", c.Position(at...)}}
}

// target is the file that a step writes or replaces, empty if it has none.
func target(a provision.Action) string {
	switch a := a.(type) {
	case *provision.WriteFile:
		return a.Path
	case *provision.AppendFile:
		return a.Path
	case *provision.Link:
		return a.Path
	case *provision.HardLink:
		return a.Path
	case *provision.WriteUnit:
		return "/etc/systemd/system/" + a.Unit
	case *provision.WriteDropin:
		return "/etc/systemd/system/" + a.Unit + ".d/" + a.Name
	case *provision.Mask:
		return "/etc/systemd/system/" + a.Unit
	}
	return ""
}

func replaced(plan provision.Plan, image *Image) []Replaced {
	var out []Replaced
	for i, s := range plan.Steps {
		name := target(s.Action)
		if name == "" {
			continue
		}
		if m, ok := makes(s.Action); ok && !m.overwrite {
			continue // kept, or in the way
		}
		if was, ok := image.Find(image.Resolve(name)); ok && was.Kind != Directory {
			out = append(out, Replaced{name, i, s.At, was})
		}
	}
	return out
}

// JSON is the preview as one object.
func (p *Preview) JSON() ([]byte, error) { return json.Marshal(p) }
