//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// openedRoot is the name in device-mapper of an encrypted root, which
// administrators know.
const openedRoot = "rootencrypted"

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

// openRoot opens the encrypted root with what it was bound to: the TPM or
// Tang by Clevis, or the TPM by systemd-cryptenroll.
func (b *boot) openRoot(ctx context.Context, v Volume) error {
	tokens, err := b.tokens(ctx, v.Device.Path)
	if err != nil {
		return err
	}
	// Absent on most machines, and then no error: opening tells what is missing.
	_ = b.modprobe(ctx, "tpm_tis", "tpm_crb")
	var errs []error
	if slices.Contains(tokens, "systemd-tpm2") {
		err := b.command(ctx, 0, "/usr/bin/systemd-cryptsetup", "attach", openedRoot, v.Device.Path, "none", "luks,tpm2-device=auto,headless=true")
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if slices.Contains(tokens, "clevis") {
		err := b.openByClevis(ctx, v)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("it is bound neither to a TPM nor by Clevis, so nothing can open it at boot"))
	}
	return fmt.Errorf("opening the encrypted root file system on %s: %w", v.Device.Name, errors.Join(errs...))
}

// openByClevis brings the network up if the volume does not open without.
func (b *boot) openByClevis(ctx context.Context, v Volume) error {
	open := func() error {
		return b.command(ctx, 0, "/usr/bin/clevis", "luks", "unlock", "-d", v.Device.Path, "-n", openedRoot)
	}
	pins, err := b.output(ctx, "/usr/bin/clevis", "luks", "list", "-d", v.Device.Path)
	if err != nil {
		return err
	}
	if !strings.Contains(strings.Join(pins, " "), "tang") {
		return open()
	}
	if err := b.bringUpNetwork(ctx); err != nil {
		b.m.Log(kmsg.Warning, "no network for Tang: %v", err)
	}
	return open()
}

// tokens are the kinds of token in the header of a volume.
func (b *boot) tokens(ctx context.Context, device string) ([]string, error) {
	lines, err := b.output(ctx, "/usr/sbin/cryptsetup", "luksDump", device)
	if err != nil {
		return nil, err
	}
	return parseTokens(lines), nil
}

// parseTokens reads the section of luksDump with lines like "  0: clevis".
func parseTokens(lines []string) (kinds []string) {
	within := false
	for _, line := range lines {
		indented := strings.TrimLeft(line, " \t") != line
		switch id, kind, ok := strings.Cut(strings.TrimSpace(line), ":"); {
		case !indented:
			within = strings.HasPrefix(line, "Tokens:")
		case within && ok:
			if _, err := strconv.Atoi(id); err == nil {
				kinds = append(kinds, strings.TrimSpace(kind))
			}
		}
	}
	return kinds
}

// output runs a program of /usr and returns the lines that it prints.
func (b *boot) output(ctx context.Context, words ...string) ([]string, error) {
	var lines []string
	status, err := b.m.Run(ctx, func(line string) { lines = append(lines, line) }, words[0], words[1:]...)
	name := filepath.Base(words[0])
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", name, err)
	}
	if status != 0 {
		last := ""
		if len(lines) > 0 {
			last = strings.TrimSpace(lines[len(lines)-1])
		}
		return nil, &CommandError{Name: name, Status: status, Last: last}
	}
	return lines, nil
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
