package vm_test

import (
	"path/filepath"
	"slices"
	"testing"

	"wellcar.dev/internal/qemu"
)

// fate is a unit of the machine's owner that does what /etc/fate says on
// 0.2.0, and nothing on another version.
var fate = []configFile{
	file("/opt/bin/fate", 0o755, `#!/bin/sh
grep -q '^VERSION=0.2.0$' /etc/os-release || exit 0
case $(cat /etc/fate) in
panic) echo 1 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger ;; # the image waits a minute
hang) sleep infinity ;;
slow) sleep 20 ;;
esac
`),
	file("/opt/bin/early", 0o755, `#!/bin/sh
grep -q '^VERSION=0.2.0$' /etc/os-release && grep -q early /etc/fate && sleep infinity
exit 0
`),
	file("/etc/systemd/system/early.service", 0o644, "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/opt/bin/early\n"),
	file("/etc/systemd/system/sysinit.target.d/early.conf", 0o644, "[Unit]\nWants=early.service\n"),
	file("/etc/systemd/system/fate.service", 0o644, "[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\nExecStart=/opt/bin/fate\n"),
	file("/etc/systemd/system/multi-user.target.d/fate.conf", 0o644, "[Unit]\nWants=fate.service\nAfter=fate.service\n"),
	file("/etc/wellcar/health.d/fate.yaml", 0o644, "deadline: 1m\nchecks:\n  - name: the service\n    units: [fate.service]\n"),
	file("/etc/data", 0o644, "years of work\n"),
}

// TestDecisions updates one machine again and again to a release that meets
// another fate each time: a power cut while it is written, a kernel that
// panics, a boot that hangs before the trial, a unit that hangs, and at last one that is only slow. After each the
// right version runs, for the right reason, and ROOT has lost nothing.
func TestDecisions(t *testing.T) {
	t.Parallel()
	r := newRigFor(t, updateLimit)
	p := r.newPublisher()
	first, second := r.openBuilt(filepath.Dir(r.image)), r.openBuilt(r.buildVersion("0.2.0"))
	u := r.newUpdates()
	u.serve(p.publish(second))
	config := r.filesConfig(slices.Concat(fate, following(u, p.trust))...)
	vm := r.start(qemu.Machine{Image: r.copyImage(), Persist: true, FwCfg: map[string][]byte{configName: config}})
	client, err := vm.SSH(r.ctx, "core", r.key, 0)
	r.must(err)
	r.overSSH(client, []check{
		waitGood(first.version),
		{"a download", `update_engine_client -check_for_update; timeout 300 sh -c 'until update_engine_client -status | grep -q "^PROGRESS=0.[3-8]"; do sleep 0.1; done'`, `.*`, 0},
	})
	client = r.startsAnew(vm, client, first.version, func() { r.must(vm.Reset(r.ctx)) })
	r.overSSH(client, []check{
		nothingLost,
		{"after the cut", "update_engine_client -status; test -e /run/reboot-required", `.*UPDATE_STATUS_IDLE.*`, 1},
	})
	u.serve(p.publish(second, first)) // the rest is about what is decided, not about what is loaded
	for _, c := range []struct{ fate, sentence string }{
		{"early", `The update to 0.2.0 was undone: it did not start, or did not come far enough to be judged.*`},
		{"panic", `The update to 0.2.0 was undone: it did not start, or did not come far enough to be judged.*`},
		{"hang", `The update to 0.2.0 was undone: the service \(/etc/wellcar/health.d/fate.yaml:3\) did not hold within 1m0s.*`},
	} {
		r.overSSH(client, meets(c.fate))
		if c.fate == "early" {
			r.overSSH(client, soon)
		}
		client = r.reboot(vm, client, first.version)
		r.overSSH(client, []check{
			nothingLost,
			{c.fate, "timeout 300 sh -c 'until grep -q undone /run/flatcar/motd; do sleep 1; done'; cat /run/flatcar/motd", `.*` + c.sentence, 0},
			{"a person wants it", "sudo rm -rf " + trialTimer + "; sudo wellcard status --forget 0.2.0", `.*`, 0},
		})
	}
	r.overSSH(client, meets("slow"))
	client = r.reboot(vm, client, "0.2.0")
	r.overSSH(client, []check{waitGood("0.2.0"), nothingLost})
}

const trialTimer = "/etc/systemd/system/wellcar-trial.timer.d"

// soon lets a boot that hangs end after a minute, and once: on a busy machine
// others may take as long.
var soon = []check{
	{"one minute", "sudo mkdir " + trialTimer + `; printf '[Timer]\nOnActiveSec=\nOnActiveSec=1min\nOnUnitInactiveSec=1min\n' | sudo tee ` + trialTimer + "/soon.conf", `.*`, 0},
	{"one start", "sudo cgpt add -i 4 -T 1 /dev/vda", "", 0},
}

// nothingLost looks at ROOT.
var nothingLost = check{"data of the owner", "cat /etc/data; findmnt -no FSTYPE,OPTIONS / | grep -o 'rw'", "years of work\nrw", 0}

// meets installs the release, which will meet a fate at its start.
func meets(fate string) []check {
	return []check{
		{"fate", "echo " + fate + " | sudo tee /etc/fate", fate, 0},
		{"the update", "sudo update_engine_client -update", `.*Update succeeded -- reboot needed.`, 0},
	}
}
