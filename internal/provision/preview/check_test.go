package preview_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/preview"
)

// found checks the units of a config, and gives the lines of what is told.
func found(t *testing.T, text string, image *preview.Image) []string {
	t.Helper()
	c, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range preview.CheckUnits(c, provision.NewYAML("c.ign", []byte(text)), image) {
		out = append(out, p.String())
	}
	return out
}

// TestActivated wants the units that timers, paths and sockets start: in the
// config, in the image, as a file or as a second name of another unit.
func TestActivated(t *testing.T) {
	text := `{"ignition":{"version":"3.4.0"},
"storage":{"files":[{"path":"/etc/systemd/system/file.service","contents":{"source":"data:,x"}}]},
"systemd":{"units":[
{"name":"a.timer","contents":"[Timer]\nOnBootSec=1\n"},
{"name":"b.path","contents":"[Path]\nPathExists=/x\nUnit=none.target\n"},
{"name":"c.socket","contents":"[Socket]\nListenStream=80\nAccept=yes\n"},
{"name":"dbus.timer","contents":"[Timer]\nOnBootSec=1\n"},
{"name":"file.timer","contents":"[Timer]\nOnBootSec=1\n"},
{"name":"second.timer","contents":"[Timer]\nOnBootSec=1\n"},
{"name":"getty@7.timer","contents":"[Timer]\nOnBootSec=1\n"},
{"name":"own.timer","contents":"[Timer]\nOnBootSec=1\n","dropins":[{"name":"a.conf","contents":"[Timer]\nUnit=own.service\n"}]},
{"name":"any@.timer","contents":"[Timer]\nOnBootSec=1\nUnit=%i.service\n"},
{"name":"own.service","contents":"[Service]\nExecStart=/bin/true\n[Install]\nAlias=second.service\n"}]}}`
	want := []string{
		"c.ign:4:30: warning: unit a.timer: it starts a.service, and neither this config nor the image has that; add the unit, or name another with Unit=",
		"c.ign:5:29: warning: unit b.path: it starts none.target, and neither this config nor the image has that; add the unit, or name another with Unit=",
		"c.ign:6:31: warning: unit c.socket: it starts c@.service, and neither this config nor the image has that; add the unit, or name another with Service=",
	}
	if diff := cmp.Diff(want, found(t, text, image(t))); diff != "" {
		t.Error(diff)
	}
	if got := found(t, text, nil); got != nil {
		t.Error("without an image: ", got)
	}
}
