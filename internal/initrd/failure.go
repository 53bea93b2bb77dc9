//go:build linux

package initrd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wellcar.dev/internal/report"
	"wellcar.dev/internal/sys/console"
	"wellcar.dev/internal/sys/kmsg"
	"wellcar.dev/internal/sys/mount"
)

// lastFailure and lastReport are the files that carry the reason of a failure
// to the next boot, in one sentence and as JSON: on the EFI system partition,
// and from the next boot on below /run.
const (
	lastFailure = "wellcar/last-failure"
	lastReport  = "wellcar/last-report.json"
)

// Limits of what a failed boot does before it reboots.
const (
	saveLimit = 15 * time.Second
	saveFirst = 3 * time.Second // before the page is shown
	showLimit = 5 * time.Second
)

// fail ends a boot that cannot go on: it saves the reason, reports, and does as
// the policy says. It does not return.
func (b *boot) fail(err error) {
	sentence := strings.Join(strings.Fields(err.Error()), " ")
	b.m.Log(kmsg.Critical, "BOOT FAILED: %s", sentence)
	policy := b.opts.OnFailure
	next := policy.next()
	b.m.Log(kmsg.Critical, "%s", next)
	told := b.failureReport(sentence)
	told.Next = []string{strings.ToUpper(next[:1]) + next[1:] + "."}
	told.Next = append(told.Next, b.servePage(told)...)
	saved := b.save(sentence, told)
	b.show(told)
	b.sendReport()
	if err := saved(); err != nil {
		b.m.Log(kmsg.Warning, "the reason is not kept for the next boot: %v", err)
	}
	if policy.Shell {
		if err := b.m.Shell(); err == nil {
			policy.Wait = 0
		} else {
			b.m.Log(kmsg.Critical, "no shell: %v", err)
			policy.Wait = failureWait
			b.m.Log(kmsg.Critical, "rebooting in %v", policy.Wait)
		}
	}
	if policy.Wait > 0 {
		b.m.Wait(policy.Wait)
	}
	b.m.Log(kmsg.Critical, "rebooting")
	b.m.Reboot()
}

// save keeps the reason for the next boot. Who reads the page may switch the
// machine off at once, so it has a head start; what it returns waits for its
// end.
func (b *boot) save(sentence string, r report.Report) func() error {
	ended := make(chan error, 1)
	go func() {
		ended <- b.guarded("saving the reason", saveLimit, func(context.Context) error { return b.saveFailure(sentence, r) })
	}()
	select {
	case err := <-ended:
		return func() error { return err }
	case <-time.After(saveFirst):
		return func() error { return <-ended }
	}
}

// next says what follows, as a line of the log.
func (p Policy) next() string {
	switch {
	case p.Shell:
		return "starting a shell as wellcar.emergency= asks for; the machine reboots when it ends"
	case p.Wait > 0:
		return fmt.Sprintf("rebooting in %v, so that the other system gets its turn", p.Wait)
	}
	return "rebooting at once as wellcar.emergency= asks for"
}

// show draws the page. A console that does not take it has the log.
func (b *boot) show(r report.Report) {
	err := b.guarded("showing the failure", showLimit, func(ctx context.Context) error {
		return b.m.Show(ctx, func(s console.Size) []string { return report.Page(r, report.Screen(s)) })
	})
	if err != nil {
		b.m.Log(kmsg.Warning, "%v", err)
	}
}

// failureReport is what the failing step left to tell, else the sentence.
func (b *boot) failureReport(sentence string) report.Report {
	r := report.Report{Failed: true, Phase: b.at, Sentence: sentence}
	if left, ok := b.provisionReport(); ok && left.Failed && strings.Contains(sentence, strings.Join(strings.Fields(left.Sentence), " ")) {
		r = left
	}
	r.Boot = b.fileText("/proc/sys/kernel/random/boot_id")
	r.System = b.version()
	return r
}

// version is that of /usr; "" if that is not open yet.
func (b *boot) version() (version string) {
	for line := range strings.Lines(b.fileText(usrDir + "/lib/os-release")) {
		if value, ok := strings.CutPrefix(line, "VERSION_ID="); ok {
			version = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return version
}

// provisionReport is what the provisioning of this boot left.
func (b *boot) provisionReport() (report.Report, bool) {
	text := b.fileText(report.File)
	if text == "" {
		return report.Report{}, false
	}
	r, err := report.Decode([]byte(text))
	if err != nil {
		b.m.Log(kmsg.Warning, "%v", err)
	}
	return r, err == nil
}

// fileText is a file's text, "" if it cannot be read.
func (b *boot) fileText(name string) string {
	text, _ := os.ReadFile(b.m.path(name))
	return strings.TrimSuffix(string(text), "\n")
}

func (b *boot) saveFailure(sentence string, r report.Report) error {
	if b.esp.Path == "" {
		return fmt.Errorf("the EFI system partition was not found yet")
	}
	return b.changeESP(func(dir string) error {
		path := filepath.Join(dir, lastFailure)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(sentence+"\n"), 0o644); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, lastReport), r.JSON(), 0o644)
	})
}

// fatModules are the drivers for writing to the EFI system partition.
var fatModules = []string{"vfat", "nls_cp437", "nls_ascii"}

// changeESP mounts the EFI system partition for writing, for as short as
// possible: FAT has no journal.
func (b *boot) changeESP(change func(dir string) error) error {
	b.modules.all(fatModules)
	if err := b.m.Mount(mount.Mount{Source: b.esp.Path, Target: espDir, Type: "vfat", Flags: espFlags, Data: espOptions}); err != nil {
		return err
	}
	err := change(b.m.path(espDir))
	if unmounted := b.m.Unmount(espDir); err == nil {
		err = unmounted // which writes everything back
	}
	return err
}
