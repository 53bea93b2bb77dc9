package initrd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/console"
	"wellcar.dev/internal/sys/dm"
	"wellcar.dev/internal/sys/kmod"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
	"wellcar.dev/internal/sys/power"
	"wellcar.dev/internal/sys/uevent"
)

// Commands is how programs of /usr are started; see Machine.Run and
// Machine.Shell.
type Commands struct {
	Run   func(ctx context.Context, line func(string), name string, args ...string) (int, error)
	Shell func() error
}

const (
	tag        = "wellcar-init"
	panicAfter = "60" // seconds, when the command line has no panic=
)

// earlyMounts are what everything else needs. They move along to the system.
var earlyMounts = []mount.Mount{
	{Source: "proc", Target: "/proc", Type: "proc", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{Source: "sysfs", Target: "/sys", Type: "sysfs", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{Source: "devtmpfs", Target: "/dev", Type: "devtmpfs", Flags: unix.MS_NOSUID, Data: "mode=0755"},
	{Source: "tmpfs", Target: "/run", Type: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=0755,size=20%"},
}

// deviceLinks are what the kernel leaves to others to make in /dev; shells
// need them for <(...).
var deviceLinks = map[string]string{
	"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
}

// inits are the programs to become, the first that exists.
var inits = []string{"/usr/lib/systemd/systemd", "/sbin/init"}

// Main is PID 1 of the initrd. It does not return.
func Main(commands Commands) {
	log, err := prepare()
	if err == nil {
		var m Machine
		if m, err = thisMachine(log, commands); err == nil {
			Run(m)
		}
	}
	log.Printf(kmsg.Critical, "BOOT FAILED: %v", err)
	fmt.Fprintf(os.Stderr, "%s: BOOT FAILED: %v\n", tag, err) // there may be no log
	reboot(log)
}

// prepare makes what a log needs, and sees to it that a panic of the kernel
// ends in a reboot.
func prepare() (kmsg.Log, error) {
	unix.Umask(0o022)
	for _, m := range earlyMounts {
		if err := m.Mount(); err != nil {
			return kmsg.Log{}, err
		}
	}
	for name, target := range deviceLinks {
		if err := os.Symlink(target, name); err != nil && !errors.Is(err, os.ErrExist) {
			return kmsg.Log{}, fmt.Errorf("preparing /dev: %w", err)
		}
	}
	// Without this the kernel drops all but ten lines in five seconds. It wants
	// the newline.
	_ = os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on\n"), 0)
	log, err := kmsg.Open(tag)
	if err != nil {
		return kmsg.Log{}, err
	}
	const panicFile = "/proc/sys/kernel/panic"
	if now, err := os.ReadFile(panicFile); err == nil && strings.TrimSpace(string(now)) == "0" {
		_ = os.WriteFile(panicFile, []byte(panicAfter), 0)
	}
	return log, os.MkdirAll("/run/wellcar", 0o755)
}

// consoleLog also shows on the console what the command line's loglevel=
// keeps from it, so that a person and a test see each phase.
type consoleLog struct {
	log     kmsg.Log
	tag     string
	console io.Writer
}

func (c consoleLog) Printf(level kmsg.Level, format string, args ...any) {
	c.log.Printf(level, format, args...)
	text, err := os.ReadFile("/proc/sys/kernel/printk")
	var shown int
	if _, scanned := fmt.Sscan(string(text), &shown); err == nil && scanned == nil && int(level) >= shown {
		fmt.Fprintf(c.console, c.tag+": "+format+"\n", args...)
	}
}

func thisMachine(log kmsg.Log, commands Commands) (Machine, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return Machine{}, fmt.Errorf("asking for the kernel's version: %w", err)
	}
	modules, err := kmod.OpenDir(filepath.Join(modulesDir, unix.ByteSliceToString(uts.Release[:])))
	if err != nil {
		return Machine{}, err
	}
	events, err := uevent.Listen()
	if err != nil {
		return Machine{}, err
	}
	return Machine{
		Root: "/", Log: consoleLog{log, tag, os.Stdout}.Printf,
		Quote: func(tag, line string) { consoleLog{log.As(tag), tag, os.Stdout}.Printf(kmsg.Info, "%s", line) },
		Show:  console.Draw,
		Now:   sinceStart, GUID: func() gpt.GUID { return gpt.RandomGUID(rand.Reader) },
		Mount: mount.Mount.Mount, Unmount: mount.Unmount,
		LoadModule: modules.Load, Modaliases: modaliases, Events: events.Wait,
		Devices:    func() ([]blockdev.Device, error) { return blockdev.List("/sys") },
		OpenDevice: openDevice(os.O_RDONLY), OpenForWrite: openDevice(os.O_RDWR | unix.O_DSYNC),
		ReadPartitions: blockdev.ReadPartitions, ResizePartition: blockdev.ResizePartition, GrowExt4: blockdev.GrowExt4,
		CreateVerity: createVerity, Run: commands.Run, Shell: commands.Shell,
		HandOver: handOver, Reboot: func() { reboot(log) }, Wait: wait,
	}, nil
}

// sinceStart is the time since the kernel started, suspends included.
func sinceStart() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("BUG: no CLOCK_BOOTTIME: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// modaliases reads how the kernel describes the devices on some buses.
func modaliases(buses []string) []string {
	var all []string
	for _, bus := range buses {
		dir := filepath.Join("/sys/bus", bus, "devices")
		entries, _ := os.ReadDir(dir) // a machine without that bus
		for _, e := range entries {
			if text, err := os.ReadFile(filepath.Join(dir, e.Name(), "modalias")); err == nil {
				all = append(all, strings.TrimSpace(string(text)))
			}
		}
	}
	return all
}

func openDevice(flags int) func(string) (Device, error) {
	return func(path string) (Device, error) { return os.OpenFile(path, flags, 0) }
}

// udevRecords is where udev keeps what it knows of devices.
const udevRecords = "/run/udev/data"

// createVerity makes the device, its name below /dev/mapper and the record
// that lets the system's udev accept it.
func createVerity(name, uuid string, target dm.Target) (string, error) {
	dev, err := dm.CreateReadOnly(name, uuid, target)
	if err != nil {
		return "", err
	}
	link := "/dev/mapper/" + name
	if err := os.Symlink("../"+filepath.Base(dev.Path()), link); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("naming device %s: %w", name, err)
	}
	file, content := dev.UdevRecord()
	if err := os.MkdirAll(udevRecords, 0o755); err != nil {
		return "", fmt.Errorf("leaving the record of device %s for udev: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(udevRecords, file), []byte(content), 0o644); err != nil {
		return "", fmt.Errorf("leaving the record of device %s for udev: %w", name, err)
	}
	return link, nil
}

// handOver enters the new root and becomes its init.
func handOver(newRoot string) error {
	for _, dir := range []string{modulesDir, usrDir} { // the system has its own view
		if err := mount.Unmount(dir); err != nil {
			return err
		}
	}
	if err := mount.SwitchRoot(newRoot, []string{"/dev", "/proc", "/sys", "/run"}); err != nil {
		return fmt.Errorf("switching to the root file system: %w", err)
	}
	var errs []error
	for _, init := range inits {
		// Words of the kernel command line that the kernel did not know are in
		// our environment; they are nobody's variables.
		errs = append(errs, fmt.Errorf("running %s: %w", init, unix.Exec(init, []string{init}, []string{"TERM=linux", "HOME=/"})))
	}
	return errors.Join(errs...)
}

func wait(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// reboot does not return: if the kernel refuses, it is made to panic.
func reboot(log kmsg.Log) {
	for {
		log.Printf(kmsg.Critical, "%v", power.Reboot())
		if err := power.Crash(); err != nil {
			log.Printf(kmsg.Critical, "%v", err)
		}
		wait(time.Minute)
	}
}
