package cloudinit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/command/commandtest"
)

// machine is a folder, and a recorder of the programs that are run.
func machine(t *testing.T, answers map[string]commandtest.Answer) (Machine, *commandtest.Recorder) {
	rec := &commandtest.Recorder{Answers: answers}
	return Machine{Root: t.TempDir(), Run: rec.Run, Workspace: "/var/lib/coreos-cloudinit", KeyName: "coreos-cloudinit", Logf: t.Logf}, rec
}

func lines(rec *commandtest.Recorder, root string) []string {
	var out []string
	for _, r := range rec.Runs() {
		line := strings.ReplaceAll(r.Line, root, "")
		if r.Stdin != "" {
			line += " < " + strings.ReplaceAll(r.Stdin, "\n", "; ")
		}
		out = append(out, line)
	}
	return out
}

func TestApply(t *testing.T) {
	text, err := os.ReadFile("testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, rec := machine(t, map[string]commandtest.Answer{"getent passwd alice": {Status: 2}})
	values := Values{PrivateIPv4: "10.0.0.7"}
	data, report := Parse("all.yaml", text, values)
	if report.Err() != nil {
		t.Fatal(report)
	}
	for name, old := range map[string]string{"/etc/flatcar/update.conf": "GROUP=alpha\n# mine\n", "/etc/environment": "LANG=C\n"} {
		if err := m.write(t.Context(), File{Path: name, Content: old}); err != nil {
			t.Fatal(err)
		}
	}
	if err := data.Apply(t.Context(), m, Facts{Values: values, Hostname: "cloud.example", Keys: []string{"ssh-rsa C"}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"hostnamectl set-hostname web",
		"update-ssh-keys -u core -a coreos-cloudinit < ssh-rsa C; ssh-ed25519 AAAA a; ",
		"getent passwd alice",
		"useradd --password $6$x --comment Alice --home-dir /a --gid users --groups sudo,docker --shell /bin/sh --no-create-home --no-user-group --system --no-log-init alice",
		"update-ssh-keys -u alice -a coreos-cloudinit < ssh-ed25519 BBBB b; ",
		"chown core:core /etc/a",
		"systemctl daemon-reload",
		"systemctl enable --force app.service",
		"systemctl --no-block start app.service",
		"systemctl --no-block restart locksmithd.service",
		"systemctl --no-block restart update-engine.service",
	}
	if diff := cmp.Diff(want, lines(rec, m.Root)); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"/etc/a": "10.0.0.7 $private_ipv4\n", "/etc/b": "hello", "/opt/c": "hello",
		"/etc/flatcar/update.conf": "GROUP=stable\n# mine\nREBOOT_STRATEGY=etcd-lock\nSERVER=https://example.com/\n",
		"/etc/environment":         "LANG=C\nCOREOS_PRIVATE_IPV4=10.0.0.7\n",
		"/etc/oem-release":         "ID=x\nVERSION_ID=1\nNAME=\"X\"\nHOME_URL=\"https://x/\"\nBUG_REPORT_URL=\"https://x/bugs\"\n",
		"/run/flannel/options.env": "FLANNELD_IFACE=10.0.0.7\n", "/etc/systemd/system/app.service": "[Service]\nExecStart=/bin/true\n",
		"/run/systemd/system/locksmithd.service.d/20-cloudinit.conf": "[Service]\nEnvironment=\"REBOOT_WINDOW_LENGTH=1h\"\nEnvironment=\"REBOOT_WINDOW_START=Thu 04:00\"\n",
		"/run/systemd/system/fleet.service.d/20-cloudinit.conf":      "[Service]\nEnvironment=\"FLEET_VERBOSITY=1\"\n",
	} {
		if got, err := os.ReadFile(m.path(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if target, err := os.Readlink(m.path("/run/systemd/system/old.service")); err != nil || target != "/dev/null" {
		t.Error("old is not masked", target, err)
	}
	if info, err := os.Stat(m.path("/etc/a")); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestApplyScript(t *testing.T) {
	m, rec := machine(t, nil)
	data, _ := Parse("s", []byte("#!/bin/sh\necho\n"), Values{})
	if err := data.Apply(t.Context(), m, Facts{}); err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(m.path("/var/lib/coreos-cloudinit/scripts/unit-name"))
	script := filepath.Join("/var/lib/coreos-cloudinit/scripts", strings.TrimSuffix(strings.TrimPrefix(string(unit), "coreos-cloudinit-"), ".service"))
	want := []string{"systemd-run --no-block --quiet --unit=" + string(unit) + " --description=Script of the user data /bin/bash " + script}
	if diff := cmp.Diff(want, lines(rec, m.Root)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if text, err := os.ReadFile(m.path(script)); err != nil || string(text) != "#!/bin/sh\necho\n" {
		t.Errorf("%q %v", text, err)
	}
}

func TestApplyGoesOnAfterAPart(t *testing.T) {
	m, rec := machine(t, map[string]commandtest.Answer{"systemctl --no-block start a.service": {Status: 5, Stderr: "not found"}})
	data := UserData{Parts: []Part{
		{Name: "one", Config: &Config{CoreOS: CoreOS{Units: []Unit{{Name: "a.service", Command: "start"}, {Name: "b.service", Command: "stop"}}}}},
		{Name: "two", Config: &Config{Hostname: strings.Repeat("x", 70), CoreOS: CoreOS{Units: []Unit{{Name: "x.network", Content: "[Match]\n", Runtime: true}}}}},
	}}
	err := data.Apply(t.Context(), m, Facts{})
	if err == nil || !strings.Contains(err.Error(), "applying one: unit a.service:") {
		t.Error(err)
	}
	want := []string{
		"hostnamectl set-hostname " + strings.Repeat("x", 63),
		"systemctl --no-block start a.service", "systemctl --no-block stop b.service",
		"systemctl daemon-reload", "systemctl restart systemd-networkd.service",
	}
	if diff := cmp.Diff(want, lines(rec, m.Root)); diff != "" {
		t.Error(diff)
	}
}
