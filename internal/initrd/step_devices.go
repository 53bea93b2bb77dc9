//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/uevent"
)

// startLogging reads the command line. The file systems it comes from are
// mounted by whoever made the Machine, for the log is one of them.
func (b *boot) startLogging(context.Context) error {
	line, err := os.ReadFile(b.m.path("/proc/cmdline"))
	if err != nil {
		return fmt.Errorf("reading the kernel command line: %w", err)
	}
	b.opts, err = ParseOptions(string(line), b.hardware())
	return err
}

func (b *boot) hardware() Hardware {
	read := func(p string) string {
		text, _ := os.ReadFile(b.m.path(p)) // absent on machines without DMI
		return strings.TrimSpace(string(text))
	}
	_, err := os.Stat(b.m.path("/sys/bus/acpi/devices/QEMU0002:00"))
	return Hardware{Vendor: read("/sys/class/dmi/id/sys_vendor"), Product: read("/sys/class/dmi/id/product_name"), FwCfg: err == nil}
}

// ModuleListFile is where the initrd has its module list.
const ModuleListFile = "/modules.list"

// loadModules loads what every machine needs and the drivers of the devices
// that are there.
func (b *boot) loadModules(context.Context) error {
	text, err := os.ReadFile(b.m.path(ModuleListFile))
	if err != nil {
		return fmt.Errorf("reading the module list: %w", err)
	}
	list, err := ParseModuleList(string(text))
	if err != nil {
		return err
	}
	b.modules = &loader{list: list, params: b.opts.ModuleParams, load: b.m.LoadModule,
		failed: b.moduleFailed, begun: map[string]bool{}}
	names := b.driversFor(b.m.Modaliases(list.buses())...)
	b.modules.all(append(names, list.always...))
	return nil
}

// moduleFailed reports a module that did not load. Whether that matters shows
// in what is missing then.
func (b *boot) moduleFailed(name string, err error) {
	level := kmsg.Warning
	if errors.Is(err, unix.ENODEV) || errors.Is(err, fs.ErrPermission) {
		level = kmsg.Info // no such device here, or forbidden by module_blacklist=
	}
	b.m.Log(level, "%v", err)
}

func (b *boot) driversFor(modaliases ...string) []string {
	var names []string
	for _, m := range modaliases {
		names = append(names, b.modules.list.For(m, b.opts.Blacklist)...)
	}
	return names
}

// buses are the names in sysfs of the buses whose devices the list has
// drivers for.
func (l ModuleList) buses() []string {
	buses := []string{}
	for bus := range l.aliases {
		if bus == "of" {
			bus = "platform" // devices of a device tree
		}
		if !slices.Contains(buses, bus) {
			buses = append(buses, bus)
		}
	}
	slices.Sort(buses)
	return buses
}

// await tries until try succeeds or says that waiting is of no use, each time
// when block devices have come. Meanwhile it loads the drivers of new devices.
// When ctx ends, the error is the last try's.
func (b *boot) await(ctx context.Context, try func() (final bool, err error)) error {
	for {
		final, err := try()
		if final || err == nil {
			return err
		}
		if waited := b.awaitBlock(ctx); waited != nil {
			return fmt.Errorf("%w (no further device came: %v)", err, waited)
		}
	}
}

// awaitBlock returns when a block device has come or changed.
func (b *boot) awaitBlock(ctx context.Context) error {
	for {
		events, err := b.m.Events(ctx)
		if err != nil {
			return err
		}
		block := false
		for _, e := range events {
			if alias := e.Env["MODALIAS"]; e.Action == "add" && alias != "" {
				b.modules.all(b.driversFor(alias))
			}
			block = block || e.Env["SUBSYSTEM"] == "block" && e.Action != "remove" || e.Action == uevent.Lost
		}
		if block {
			return nil
		}
	}
}
