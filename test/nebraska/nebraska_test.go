package nebraska

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/update"
	"wellcar.dev/test/machine"
)

// The images of all tests.
type images struct {
	*machine.Publisher
	one, two, three machine.Image
}

func TestNebraska(t *testing.T) {
	w := newWorld(t)
	i := images{machine.NewPublisher(t), machine.MakeImage(t, "1.0.0"), machine.MakeImage(t, "1.1.0"), machine.MakeImage(t, "1.2.0")}
	w.offer(i.Publish(t, i.two))
	for _, c := range []struct {
		name string
		test func(*testing.T, *world, images)
	}{{"group", testGroup}, {"refusals", testRefusals}, {"given up", testGivenUp}, {"reset", testReset}, {"life", testLife}} {
		t.Run(c.name, func(t *testing.T) { c.test(t, w, i) })
	}
}

// A machine updates, and again, by a delta that lies beside the one file.
func testLife(t *testing.T, w *world, i images) {
	b := w.machine(t, i.one, i.Trust, "stable")
	b.updates("vda4", i.two)
	if version := b.restart(i.one, i.two); version != "1.1.0" {
		t.Fatal(version)
	}
	b.rests("")
	folder := i.Publish(t, i.three, i.two)
	w.offer(folder)
	w.beside(folder)
	b.updates("vda3", i.three)
	if log := b.log.String(); !strings.Contains(log, "installed 1.2.0 by the delta") {
		t.Error(log)
	}
	b.restart(i.two, i.three)
	b.rests("")

	if diff := cmp.Diff("3/2 0.0.0.0, 13/1, 14/1, 3/1, 3/2 1.0.0, 3/2 , 13/1, 14/1, 3/1, 3/2 1.1.0", w.told(b.id)); diff != "" {
		t.Errorf("told: %s", diff)
	}
	if diff := cmp.Diff("13/1, 14/1, 3/1, 3/2 1.0.0, 13/1, 14/1, 3/1, 3/2 1.1.0", w.events(b.id)); diff != "" {
		t.Errorf("taken down: %s", diff)
	}
	if diff := cmp.Diff("granted, downloading, downloaded, complete, granted, downloading, downloaded, complete", w.statuses(b.id)); diff != "" {
		t.Errorf("statuses: %s", diff)
	}
	if version := w.version(b.id); version != "1.2.0" {
		t.Errorf("Nebraska has it at %s", version)
	}
}

// A group has an id, which old configs name.
func testGroup(t *testing.T, w *world, i images) {
	b := w.machine(t, i.one, i.Trust, stableGroup)
	b.updates("vda4", i.two)
}

// What Nebraska says instead of an update is told in a sentence.
func testRefusals(t *testing.T, w *world, i images) {
	b := w.machine(t, i.one, i.Trust, "canary")
	b.rests("asking for updates as group canary: the server does not know the group or the application (error-failedToRetrieveUpdatePackageInfo)")
	defer w.group(nil)
	w.group(fields{"policy_updates_enabled": false})
	b = w.machine(t, i.one, i.Trust, "stable")
	b.rests("asking for updates as group stable: updates of the group are disabled, or not made at this hour (error-updatesDisabled)")
	w.group(nil)
	b.updates("vda4", i.two)
	w.group(fields{"policy_max_updates_per_period": 1})
	b = w.machine(t, i.one, i.Trust, "stable")
	b.rests("asking for updates as group stable: as many machines were updated as the group allows for now (error-maxUpdatesPerPeriodLimitReached)")
	w.group(nil)
	b.updates("vda4", i.two)
}

// A machine that gave a version up has an error, however often it asks.
func testGivenUp(t *testing.T, w *world, i images) {
	b := w.machine(t, i.one, i.Trust, "stable")
	b.updates("vda4", i.two)
	b.restart(i.one, i.two)
	b.prove = func(context.Context) error { return errors.New("the application is gone") }
	if _, problem, reboots := b.check(); !reboots {
		t.Fatal(problem)
	}
	if version := b.restart(i.one, i.two); version != "1.0.0" {
		t.Fatal(version)
	}
	const why = "not installing 1.1.0: 1.1.0 was given up on 2026-05-04 (the application is gone) and is not installed again until a newer version comes or it is asked for by name"
	b.rests(why)
	b.rests(why)
	const wentBack, held = "268435500", "268435491" // 44 and 35, and that the server is not the public one
	if diff := cmp.Diff("13/1, 14/1, 3/1, 3/0 "+wentBack+", 3/0 "+held+", 3/0 "+held, w.events(b.id)); diff != "" {
		t.Errorf("taken down: %s", diff)
	}
	if diff := cmp.Diff("granted, downloading, downloaded, error, granted, error, granted, error", w.statuses(b.id)); diff != "" {
		t.Errorf("statuses: %s", diff)
	}
}

// An update that was taken back before the reboot is offered again.
func testReset(t *testing.T, w *world, i images) {
	b := w.machine(t, i.one, i.Trust, "stable")
	b.updates("vda4", i.two)
	s := b.service()
	s.Start()
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	b.updates("vda4", i.two)
}

// updates checks once, and that the image is then in a slot and starts next.
func (b *box) updates(device string, m machine.Image) {
	b.Helper()
	if end, problem, _ := b.check(); end != update.NeedReboot {
		b.Fatalf("%s: %s", end, problem)
	}
	b.has(device, m)
}

// rests checks once, and that nothing is installed.
func (b *box) rests(want string) {
	b.Helper()
	if end, problem, _ := b.check(); end != update.Idle || problem != want {
		b.Fatalf("%s: %s", end, problem)
	}
}
