package provision

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// CreateRAID makes a RAID array.
type CreateRAID struct {
	Name    string   `json:"name"`
	Level   string   `json:"level"`
	Devices []string `json:"devices"`
	Spares  int      `json:"spares,omitempty"`
	Options []string `json:"options,omitempty"`
}

// Kind implements Action.
func (*CreateRAID) Kind() string { return "createRAID" }

// Summary implements Action.
func (a *CreateRAID) Summary() Summary {
	spares := ""
	if a.Spares > 0 {
		spares = fmt.Sprintf("%d spare", a.Spares)
	}
	return Summary{"create", "created", "RAID array", a.Name, join(a.Level, strings.Join(a.Devices, " "), spares, strings.Join(a.Options, " "))}
}

// node is where the array appears.
func (a *CreateRAID) node() string {
	if strings.HasPrefix(a.Name, "/dev") {
		return a.Name
	}
	return path.Join("/dev/md", a.Name)
}

// raid plans storage.raid.
func (b *builder) raid() {
	for i, r := range b.Ignition.Storage.Raid {
		p := Path{"storage", "raid", i}
		a := &CreateRAID{Name: r.Name, Level: value(r.Level)}
		for _, d := range r.Devices {
			a.Devices = append(a.Devices, string(d))
		}
		for _, o := range r.Options {
			a.Options = append(a.Options, string(o))
		}
		if r.Spares != nil {
			a.Spares = *r.Spares
		}
		b.checkMembers(p, r)
		b.checkCount(p, r)
		b.volumes.make(a.node())
		b.add(StageDisks, p, a)
	}
}

// checkMembers looks at what an array is made of.
func (b *builder) checkMembers(p Path, r types.Raid) {
	for j, d := range r.Devices {
		v := b.volumes.find(string(d))
		taken := !b.claim(p.with("devices", j), string(d), fmt.Sprintf("a member of RAID array %s (%s)", r.Name, b.Position(p...)))
		switch {
		case taken:
		case v == nil:
			b.unknownDevice(p.with("devices", j), string(d))
		case v.use != "":
			b.fail(p.with("devices", j), fmt.Sprintf("%s is %s", d, v.use), "take a device that is not in use")
		case !blank(v.content):
			b.warn(p.with("devices", j), fmt.Sprintf("%s holds %s, which is overwritten", d, describeContent(v.content)), "make sure that nobody needs it")
		}
	}
}

// checkCount looks at how many devices there are; the least are those of
// mdadm(8), which is told to take as few as it can.
func (b *builder) checkCount(p Path, r types.Raid) {
	spares, level := 0, strings.TrimPrefix(value(r.Level), "raid")
	if r.Spares != nil {
		spares = *r.Spares
	}
	if spares < 0 {
		b.fail(p.with("spares"), fmt.Sprintf("%d is no number of spares", spares), "write 0 or more, or leave it out")
		return
	}
	for _, o := range r.Options {
		if strings.HasPrefix(string(o), "--raid-devices") || strings.HasPrefix(string(o), "-n") {
			return // the config counts itself
		}
	}
	least := map[string]int{"4": 2, "5": 2, "6": 4, "10": 2}[level]
	if active := len(r.Devices) - spares; active < max(least, 1) {
		b.fail(p.with("devices"), fmt.Sprintf("%d of the %d devices are not spares, and an array of level %s needs %d", max(active, 0), len(r.Devices), value(r.Level), max(least, 1)),
			"list more devices, or take another level")
	}
}

func (a *CreateRAID) do(ctx context.Context, m *machine) (Outcome, error) {
	disks, err := m.disks()
	if err != nil {
		return Failed, err
	}
	var nodes []string
	for _, d := range a.Devices {
		node, err := disks.Resolve(ctx, d)
		if err != nil {
			return Failed, err
		}
		nodes = append(nodes, node)
	}
	if _, err := disks.Run(ctx, "mdadm", a.command(nodes)...); err != nil {
		return Failed, err
	}
	_, err = disks.Resolve(ctx, a.node())
	return Done, err
}

func (a *CreateRAID) command(nodes []string) []string {
	args := []string{"--create", a.Name, "--force", "--run", "--homehost", "any", "--level", a.Level,
		"--raid-devices", strconv.Itoa(len(nodes) - a.Spares)}
	if a.Spares > 0 {
		args = append(args, "--spare-devices", strconv.Itoa(a.Spares))
	}
	return append(append(args, a.Options...), nodes...)
}
