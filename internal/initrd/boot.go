//go:build linux

package initrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"wellcar.dev/internal/sys/blockdev"
	"wellcar.dev/internal/sys/kmsg"
)

// boot is the state of one run, filled in step by step.
type boot struct {
	m       Machine
	opts    Options
	modules *loader
	phases  []Phase
	at      string // name of the step under way

	slot       Slot            // set by "usr"
	disk       blockdev.Device // the one that slot is on
	esp        blockdev.Device // zero if the disk has none
	oldFailure bool            // the last boot's reason is on the ESP
	addedWords string          // of the kernel's add-on on the ESP
	first      FirstBoot
	rootGrew   bool     // partition 9, by "disk"
	openedROOT bool     // partition 9 is encrypted, and was opened
	network    *network // is up, or was tried, by "config"
}

// step is a named part of the boot. A step that has not ended at its limit is
// a failure; what it does is expected to end when its context does.
type step struct {
	name  string
	limit time.Duration
	run   func(*boot, context.Context) error
}

// steps are in order; each relies on those before it.
var steps = []step{
	{"mounts", 20 * time.Second, (*boot).startLogging},
	{"modules", 90 * time.Second, (*boot).loadModules},
	{"usr", 60 * time.Second, (*boot).findUsr},
	{"disk", 30 * time.Second, (*boot).fitDisk},
	{"verity", 30 * time.Second, (*boot).openUsr},
	{"esp", 30 * time.Second, (*boot).readESP},
	{"config", 30 * time.Minute, (*boot).configure}, // up to the disks
	{"root", 30 * time.Minute, (*boot).mountRoot},   // a check of a large file system
	{"etc", 60 * time.Second, (*boot).mountEtc},
	{"oem", 30 * time.Second, (*boot).mountOEM},
	{"provision", 30 * time.Minute, (*boot).provision},
}

// grace is what a step gets beyond its limit to end by itself, with a better
// message.
const grace = 5 * time.Second

// Run boots the machine. It returns only if Machine.Reboot does.
func Run(m Machine) {
	b := &boot{m: m, opts: Options{OnFailure: Policy{Wait: failureWait}}}
	err := b.boot()
	if errors.Is(err, errRestart) {
		m.Log(kmsg.Info, "%v", err)
		m.Reboot()
	}
	if err == nil {
		err = errors.New("BUG: the boot ended without handing over")
	}
	b.fail(err)
}

func (b *boot) boot() error {
	for _, s := range steps {
		b.at = s.name
		phase := Phase{Name: s.name, Start: b.m.Now()}
		err := b.guarded(s.name, s.limit, func(ctx context.Context) error { return s.run(b, ctx) })
		phase.End = b.m.Now()
		b.phases = append(b.phases, phase)
		if err != nil {
			return err
		}
		b.m.Log(kmsg.Info, "%v", phase)
	}
	b.leavePhases()
	return b.guarded("handing over", 30*time.Second, b.handOver)
}

// guarded runs do with a limit. A panic becomes an error, and so does an end
// that does not come: then do is left behind, stuck in the kernel, and the
// caller is expected to end the machine.
func (b *boot) guarded(name string, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				b.m.Log(kmsg.Error, "%s", debug.Stack())
				ended <- fmt.Errorf("BUG in %s: %v", name, p)
			}
		}()
		ended <- do(ctx)
	}()
	late := time.NewTimer(limit + grace)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return fmt.Errorf("%s: did not end within %v", name, limit)
	}
}

func (b *boot) leavePhases() {
	path := b.m.path(PhaseFile)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, marshalPhases(b.phases), 0o644)
	}
	if err != nil {
		b.m.Log(kmsg.Warning, "the times of the boot are not kept: %v", err)
	}
}
