package provision_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wellcar.dev/internal/format/probe"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/provisiontest"
	"wellcar.dev/internal/sys/rootfs"
	disks "wellcar.dev/internal/sys/storage"
)

// TestVMRandomDisks carries out random configs on two disks, one after the
// other, and compares what the disks hold with what the plan said. What cannot
// be planned must not change a thing. It runs in a machine of its own:
// test/vm brings it there and names the disks, which lose all they hold.
func TestVMRandomDisks(t *testing.T) {
	names := strings.Fields(os.Getenv("WELLCAR_TEST_DISKS"))
	if len(names) != 2 {
		t.Skip("WELLCAR_TEST_DISKS names no two disks that may be overwritten")
	}
	d := &randomDisks{T: t, machine: disks.This(), names: names}
	for seed := range uint64(60) {
		d.round(seed)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d configs were carried out, %d refused", d.done, d.refused)
	if d.done < 30 || d.refused < 5 {
		t.Errorf("%d configs were carried out and %d refused: that is no fair sample", d.done, d.refused)
	}
}

type randomDisks struct {
	*testing.T
	machine       *disks.Machine
	names         []string
	done, refused int
}

func (d *randomDisks) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *randomDisks) round(seed uint64) {
	text := provisiontest.Disks(seed, d.names[0], d.names[1])
	c, report := provision.Load("c.ign", text, provision.LoadOptions{})
	d.must(report.Err())
	root, err := rootfs.Open(d.TempDir(), rootfs.Options{})
	d.must(err)
	defer root.Close()
	t := provision.Target{Files: root, Disks: d.machine}
	before := d.look()
	facts := provision.DefaultFacts()
	facts.Disks, err = provision.LookAtDisks(d.Context(), c, d.machine)
	d.must(err)
	plan, planErr := c.Plan(facts)
	if planErr != nil {
		d.refuse(c, t, before, planErr, seed)
		return
	}
	d.done++
	if err := provision.ApplyStages(d.Context(), plan, t, provision.StageDisks); err != nil {
		d.Errorf("seed %d: %v\n%s\n%s", seed, err, provision.Render(plan), text)
		return
	}
	if problems := d.compare(plan, before); len(problems) > 0 {
		d.Errorf("seed %d:\n%s\n%s\n%s", seed, strings.Join(problems, "\n"), provision.Render(plan), text)
	}
	d.tidy(plan)
}

// refuse counts a config that cannot be done: nothing may have changed.
func (d *randomDisks) refuse(c provision.Config, t provision.Target, before []disks.Disk, err error, seed uint64) {
	d.refused++
	if diff := cmp.Diff(before, d.look(), cmpopts.IgnoreFields(disks.Disk{}, "Peek")); diff != "" {
		d.Errorf("seed %d: %v, yet the disks changed: %s", seed, err, diff)
	}
}

func (d *randomDisks) look() (all []disks.Disk) {
	for _, name := range d.names {
		disk, err := d.machine.Look(d.Context(), name)
		d.must(err)
		all = append(all, disk)
	}
	return all
}

// compare returns in what the machine is not as planned.
func (d *randomDisks) compare(p provision.Plan, before []disks.Disk) (problems []string) {
	filled := map[string]bool{}
	for _, s := range p.Steps {
		var problem string
		switch a := s.Action.(type) {
		case *provision.PartitionDisk:
			problem = d.table(a)
		case *provision.CreateRAID:
			problem = d.array(a, filled)
		case *provision.CreateLUKS:
			problem = d.holds(a.Device, "crypto_LUKS", a.Label, filled)
		case *provision.MakeFilesystem:
			label := ""
			if a.Label != nil {
				label = *a.Label
			}
			problem = d.holds(a.Device, a.Format, label, filled)
		}
		if problem != "" {
			problems = append(problems, s.Describe()+": "+problem)
		}
	}
	return append(problems, d.untouched(p, before, filled)...)
}

// table compares a disk with the After of a plan. A GUID that the plan does
// not have was made up.
func (d *randomDisks) table(a *provision.PartitionDisk) string {
	disk, err := d.machine.Look(d.Context(), a.Device)
	d.must(err)
	got := provision.PartitionStates(disk.Table)
	for i := range got {
		if i < len(a.After) && a.After[i].GUID == "" {
			got[i].GUID = ""
		}
	}
	if diff := cmp.Diff(a.After, got); diff != "" {
		return "the table is not as planned (-plan +disk):\n" + diff
	}
	var kernel, table []int
	for _, p := range disk.Partitions {
		kernel = append(kernel, p.Number)
	}
	for _, p := range disk.Table.Partitions {
		table = append(table, p.Number)
	}
	return cmp.Diff(table, kernel)
}

// array compares an array with what the kernel says of it.
func (d *randomDisks) array(a *provision.CreateRAID, filled map[string]bool) string {
	node, err := filepath.EvalSymlinks("/dev/md/" + a.Name)
	if err != nil {
		return err.Error()
	}
	level, err := os.ReadFile(filepath.Join("/sys/class/block", filepath.Base(node), "md/level"))
	if err != nil || strings.TrimSpace(string(level)) != a.Level {
		return fmt.Sprintf("the level is %s, %v", level, err)
	}
	for _, member := range a.Devices {
		if problem := d.holds(member, "linux_raid_member", "", filled); problem != "" {
			return problem
		}
	}
	return ""
}

// holds compares what a device holds, and notes that it was filled.
func (d *randomDisks) holds(device, kind, label string, filled map[string]bool) string {
	info, err := d.machine.Identify(d.Context(), device)
	d.must(err)
	node, err := d.machine.Resolve(d.Context(), device)
	d.must(err)
	filled[node] = true
	switch {
	case kind == "none" && info != (probe.Info{}), kind != "none" && info.Type != kind:
		return fmt.Sprintf("%s holds %+v", device, info)
	case label != "" && info.Label != label:
		return fmt.Sprintf("%s is labelled %q", device, info.Label)
	}
	return ""
}

// untouched compares partitions that the plan keeps and does not fill.
func (d *randomDisks) untouched(p provision.Plan, before []disks.Disk, filled map[string]bool) (problems []string) {
	kept := d.kept(p)
	for i, after := range d.look() {
		for _, was := range before[i].Partitions {
			now, ok := after.Partition(was.Number)
			if !ok || !kept[was.Node] || filled[was.Node] {
				continue
			}
			if now.Content != was.Content {
				problems = append(problems, fmt.Sprintf("%s held %+v and holds %+v", was.Node, was.Content, now.Content))
			}
		}
	}
	return problems
}

// kept are the partitions that no step changes.
func (d *randomDisks) kept(p provision.Plan) map[string]bool {
	all := map[string]bool{}
	for _, name := range d.names {
		for n := range 128 {
			all[disks.PartitionNode(name, n)] = true
		}
	}
	for _, s := range p.Steps {
		if a, ok := s.Action.(*provision.PartitionDisk); ok {
			for _, c := range a.Changes {
				if c.Kind != "keep" {
					delete(all, disks.PartitionNode(a.Device, c.Number))
				}
			}
		}
	}
	return all
}

// tidy ends arrays and volumes, whose devices the next config may want, and
// empties what udev would start them from again.
func (d *randomDisks) tidy(p provision.Plan) {
	run := func(name string, args ...string) {
		_, err := d.machine.Run(d.Context(), name, args...)
		d.must(err)
	}
	for _, s := range p.Steps {
		switch a := s.Action.(type) {
		case *provision.CreateRAID:
			run("mdadm", "--stop", "/dev/md/"+a.Name)
			for _, member := range a.Devices {
				d.must(d.machine.Wipe(d.Context(), member))
			}
		case *provision.CreateLUKS:
			run("cryptsetup", "close", a.Name)
			d.must(d.machine.Wipe(d.Context(), a.Device))
		}
	}
}
