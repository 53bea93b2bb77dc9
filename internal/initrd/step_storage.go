//go:build linux

package initrd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/kmsg"
)

// degradedWait is how long the rest of an array may take to appear before it
// is started without.
const degradedWait = 20 * time.Second

var typeRootRAID = gpt.MustGUID(layout.TypeRootRAID)

// findRoot waits until it can be decided what becomes the root file system.
// Arrays for it are assembled and volumes opened on the way; an array that
// stays incomplete is started as it is.
func (b *boot) findRoot(ctx context.Context) (RootPlan, error) {
	var plan RootPlan
	var members string
	try := func(ctx context.Context, degraded bool) (err error) {
		plan, err = b.tryRoot(ctx, &members, degraded)
		return err
	}
	first, cancel := context.WithTimeout(ctx, degradedWait)
	defer cancel()
	err := b.await(first, func() (bool, error) {
		err := try(ctx, false)
		return plan.Refused, err
	})
	if err == nil || plan.Refused {
		return plan, err
	}
	if members != "" {
		b.m.Log(kmsg.Warning, "the array of the root file system is not complete after %v: starting it with %s", degradedWait, members)
		members = ""
	}
	rest, cancel := context.WithTimeout(ctx, deviceWait-degradedWait)
	defer cancel()
	err = b.await(rest, func() (bool, error) {
		err := try(ctx, true)
		return plan.Refused, err
	})
	return plan, err
}

// tryRoot decides with what is there now. members are those that the arrays
// were last assembled of.
func (b *boot) tryRoot(ctx context.Context, members *string, degraded bool) (RootPlan, error) {
	volumes, err := b.volumes()
	if err != nil {
		return RootPlan{Refused: true}, err
	}
	if now := idleMembers(volumes); now != "" && now != *members {
		*members = now
		b.assemble(ctx, strings.Fields(now), degraded)
		if volumes, err = b.volumes(); err != nil {
			return RootPlan{Refused: true}, err
		}
	}
	plan, err := DecideRoot(b.opts, volumes, b.disk.Name, b.first.Run)
	if err != nil || !plan.Open {
		return plan, err
	}
	if err := b.openRoot(ctx, plan.Volume); err != nil {
		return RootPlan{Refused: true}, err
	}
	dev := plan.Volume.Device
	b.openedROOT = dev.Disk == b.disk.Name && dev.Partition == layout.Root
	if volumes, err = b.volumes(); err != nil {
		return RootPlan{Refused: true}, err
	}
	return DecideRoot(b.opts, volumes, b.disk.Name, b.first.Run)
}

// idleMembers are the devices of the root file system's arrays that no array
// has taken yet.
func idleMembers(volumes []Volume) string {
	var paths []string
	for _, v := range volumes {
		if v.rootMember() && !v.Used {
			paths = append(paths, v.Device.Path)
		}
	}
	return strings.Join(paths, " ")
}

// assemble lets mdadm put arrays together, of these devices only. Whether it
// could shows in the devices that come of it.
func (b *boot) assemble(ctx context.Context, members []string, degraded bool) {
	const config = "/run/wellcar/mdadm.conf"
	text := "DEVICE " + strings.Join(members, " ") + "\nHOMEHOST <ignore>\n"
	if err := os.WriteFile(b.m.path(config), []byte(text), 0o644); err != nil {
		b.m.Log(kmsg.Error, "assembling the array of the root file system: %v", err)
		return
	}
	how := "--no-degraded"
	if degraded {
		how = "--run"
	}
	err := b.command(ctx, 1, "/usr/sbin/mdadm", "--assemble", "--scan", "--config", config, how)
	if err != nil {
		b.m.Log(kmsg.Warning, "assembling the array of the root file system: %v", err)
	}
	b.stopInactive(ctx)
}

// stopInactive gives back the devices of arrays that were assembled but not
// started, so that the next try finds them.
func (b *boot) stopInactive(ctx context.Context) {
	entries, _ := os.ReadDir(b.m.path("/sys/class/block")) // without block devices there are no arrays
	for _, e := range entries {
		state, err := os.ReadFile(b.m.path(filepath.Join("/sys/class/block", e.Name(), "md/array_state")))
		if err != nil || strings.TrimSpace(string(state)) != "inactive" {
			continue
		}
		if err := b.command(ctx, 0, "/usr/sbin/mdadm", "--stop", "/dev/"+e.Name()); err != nil {
			b.m.Log(kmsg.Warning, "stopping the incomplete array %s: %v", e.Name(), err)
		}
	}
}

// partitionTypes are the type GUIDs of partitions by the kernel's name.
func (b *boot) partitionTypes(devices []blockdev.Device) map[string]gpt.GUID {
	types := map[string]gpt.GUID{}
	tables := map[string]gpt.Table{}
	for _, d := range devices {
		partitioned := slices.ContainsFunc(devices, func(p blockdev.Device) bool { return p.Disk == d.Name })
		if d.IsDisk() && partitioned {
			if t, _, err := b.readTable(d); err == nil { // else not one of ours
				tables[d.Name] = t
			}
		}
	}
	for _, d := range devices {
		if p, ok := tables[d.Disk].Partition(d.Partition); ok {
			types[d.Name] = p.Type
		}
	}
	return types
}

// held tells whether an array or a volume is on top of a device.
func (b *boot) held(d blockdev.Device) bool {
	holders, err := os.ReadDir(b.m.path(filepath.Join("/sys/class/block", d.Name, "holders")))
	return err == nil && len(holders) > 0
}

// named is the node of a device under the name that device-mapper has for it,
// which is what administrators expect to see mounted.
func (b *boot) named(d blockdev.Device) string {
	path := "/dev/mapper/" + b.mapperName(d)
	if _, err := os.Stat(b.m.path(path)); err != nil || b.mapperName(d) == "" {
		return d.Path
	}
	return path
}

// mapperName is empty for other devices than device-mapper's.
func (b *boot) mapperName(d blockdev.Device) string {
	text, err := os.ReadFile(b.m.path(filepath.Join("/sys/class/block", d.Name, "dm/name")))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// tellUdev leaves records of the device-mapper devices that were made before
// udev runs, without which it takes them for ones that are not set up yet.
func (b *boot) tellUdev() {
	devices, err := b.m.Devices()
	if err != nil {
		return
	}
	for _, d := range devices {
		name := b.mapperName(d)
		var major, minor uint32
		if _, err := fmt.Sscanf(d.Number, "%d:%d", &major, &minor); err != nil || name == "" || name == usrDevice {
			continue
		}
		file, content := dm.Device{Name: name, Major: major, Minor: minor}.UdevRecord()
		if err := os.MkdirAll(b.m.path(udevRecords), 0o755); err == nil {
			err = os.WriteFile(b.m.path(filepath.Join(udevRecords, file)), []byte(content), 0o644)
			if err != nil {
				b.m.Log(kmsg.Warning, "leaving the record of device %s for udev: %v", name, err)
			}
		}
	}
}
