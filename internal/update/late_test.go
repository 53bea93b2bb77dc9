//go:build linux

package update

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/layout"
)

const overlay = "../../image/overlay/usr/lib/"

// TestEndTrial runs the script that ends a boot on trial which does not come as
// far as its trial.
func TestEndTrial(t *testing.T) {
	for name, c := range map[string]struct {
		enabled, checks, uptime string
		reboots                 bool
	}{
		"nobody judges":           {"enabled", "", "700.12 3.4", true},
		"systemd does not answer": {"", "", "700.12 3.4", true},
		"turned off":              {"disabled", "", "700.12 3.4", false},
		"masked":                  {"masked", "", "700.12 3.4", false},
		"a disk is checked":       {"enabled", "systemd-fsck@dev-sdb.service loaded activating", "700.12 3.4", false},
		"checked for hours":       {"enabled", "systemd-fsck@dev-sdb.service loaded activating", "7300.12 3.4", true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/uptime", []byte(c.uptime+"\n"))
			write(t, root, "proc/sysrq-trigger", nil)
			write(t, root, "dev/kmsg", nil)
			write(t, root, "dev/console", nil)
			program := func(name, text string) {
				write(t, root, "bin/"+name, []byte("#!/bin/sh\n"+text))
				if err := os.Chmod(filepath.Join(root, "bin", name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			program("systemctl", `case $1 in is-enabled) echo "`+c.enabled+`";; list-units) echo "`+c.checks+`" | grep .;; *) echo "$*" >> "`+root+`/asked";; esac`)
			program("sleep", "")
			cmd := exec.Command("/bin/sh", overlay+"wellcar/end-trial", root)
			cmd.Env = append(os.Environ(), "PATH="+root+"/bin:"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			said, asked, hard := text(t, root, "dev/kmsg"), text(t, root, "asked"), text(t, root, "proc/sysrq-trigger")
			if got := asked == "--force reboot\n" && hard == "b\n" && strings.Contains(said, "is on trial"); got != c.reboots || !c.reboots && asked+hard+said != "" {
				t.Errorf("said %q, asked %q, wrote %q", said, asked, hard)
			}
		})
	}
}

func text(t *testing.T, root, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// TestTrialUnits: what the initrd and the client leave is what the units read,
// and the timer is there in each target that a boot may end in.
func TestTrialUnits(t *testing.T) {
	for name, wants := range map[string][]string{
		"system/wellcar-trial.timer":      {"ConditionPathExists=/" + layout.OnTrial + "\n", "DefaultDependencies=no\n", "IgnoreOnIsolate=yes\n", "WantedBy=sysinit.target emergency.target rescue.target\n"},
		"system/wellcar-trial.service":    {"ConditionPathExists=/" + layout.OnTrial + "\n", "ConditionPathExists=!/" + layout.Judging + "\n", "DefaultDependencies=no\n", "IgnoreOnIsolate=yes\n"},
		"system-preset/80-wellcar.preset": {"enable wellcar-trial.timer\n"},
	} {
		unit := text(t, overlay+"systemd", name)
		for _, want := range wants {
			if !strings.Contains(unit, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}
