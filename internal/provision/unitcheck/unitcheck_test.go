package unitcheck_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision/unitcheck"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// cases are units, and the lines with a finding; 0 is the whole unit.
var cases = []struct {
	name, text string
	lines      []int
}{
	{"good.service", "[Unit]\nDescription=x\nAfter=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/true\nExecStart=/bin/true\nRemainAfterExit=yes\nTimeoutStartSec=1min 30s\n[Install]\nWantedBy=multi-user.target\n", nil},
	{"key.service", "[Unit]\nFoo=1\n[Service]\nExecStart=/bin/true\n", []int{2}},
	{"own.service", "[Unit]\nX-Foo=1\n[Service]\nExecStart=/bin/true\n[X-More]\na=b\n", nil},
	{"place.service", "[Unit]\nExecStart=/bin/true\n[Service]\nExecStart=/bin/true\n", []int{2}},
	{"section.service", "[Service]\nExecStart=/bin/true\n[Bla]\nx=1\n", []int{3}},
	{"timer.service", "[Service]\nExecStart=/bin/true\n[Timer]\nOnCalendar=daily\n", []int{3}},
	{"type.service", "[Service]\nType=bogus\nExecStart=/bin/true\n", []int{2}},
	{"restart.service", "[Service]\nRestart=sometimes\nExecStart=/bin/true\n", []int{2}},
	{"bool.service", "[Service]\nExecStart=/bin/true\nRemainAfterExit=maybe\n", []int{3}},
	{"time.service", "[Service]\nExecStart=/bin/true\nRestartSec=soon\n", []int{3}},
	{"dep.service", "[Unit]\nRequires=b..x\n[Service]\nExecStart=/bin/true\n", []int{2}},
	{"equals.service", "[Service]\nExecStart=/bin/true\nnoequals\n", []int{3}},
	{"outside.service", "Description=x\n[Service]\nExecStart=/bin/true\n", []int{1}},
	{"twice.service", "[Service]\nExecStart=/bin/true\nExecStart=/bin/true\n", []int{3}},
	{"nothing.service", "[Service]\nType=oneshot\n", []int{0}},
	{"again.service", "[Service]\nExecStart=/bin/true\nExecStart=\nExecStart=/bin/false\n", nil},
	{"oneshot.service", "[Service]\nType=oneshot\nExecStart=/bin/true\nRestart=always\n", []int{4}},
	{"bus.service", "[Service]\nType=dbus\nExecStart=/bin/true\n", []int{2}},
	{"lines.service", "[Service]\nExecStart=/bin/sh -c \\\n# a comment\n  'true'\nNice=5\n", nil},
	{"none.timer", "[Timer]\nPersistent=true\n[Install]\nWantedBy=timers.target\n", []int{0}},
	{"some.timer", "[Timer]\nOnBootSec=5min\nUnit=good.service\n", nil},
	{"none.socket", "[Socket]\nAccept=no\n", []int{0}},
	{"srv-data.mount", "[Mount]\nWhat=/dev/sda1\nWhere=/srv/data\n", nil},
	{"srv.mount", "[Mount]\nWhat=/dev/sda1\nWhere=/srv/data\n", []int{3}},
	{"what.mount", "[Mount]\nWhere=/what\n", []int{0}},
	{"mode.socket", "[Socket]\nListenStream=/run/x\nSocketMode=999\n", []int{3}},
	{"slash.service", "[Service]\nExecStart=foo/bar\n", []int{2}},
	{"slash-quoted.service", "[Service]\nExecStart=@!\"./bar\" x y\n", []int{2}},
	{"variable.service", "[Service]\nExecStart=${HOME}/bar\n", []int{2}},
	{"relative.service", "[Service]\nExecStart=/bin/true a/b\nExecStartPost=true ./x\n", nil},
	{"stop.service", "[Service]\nExecStop=/bin/true\n", []int{0}},
	{"stop-no.service", "[Service]\nExecStop=/bin/true\nRemainAfterExit=no\nType=oneshot\n", []int{0}},
	{"stop-remain.service", "[Service]\nExecStop=/bin/true\nRemainAfterExit=TRUE\n", nil},
	{"action.service", "[Unit]\nSuccessAction=reboot\n[Service]\nType=oneshot\n", nil},
	{"quote.service", "[Service]\nExecStart=/bin/sh -c \"x\n", []int{2}},
	{"quote-inner.service", "[Service]\nExecStart=/bin/sh -c it's\n", []int{2}},
	{"quotes.service", "[Service]\nExecStart=/bin/sh -c \"it's\" 'a \\' b' it\\'s x\"a b\"y \\\\\n", nil},
	{"quote-lines.service", "[Service]\nExecStart=/bin/sh -c \"a \\\n# it's a comment\n  b\"\n", nil},
	{"mode.service", "[Service]\nExecStart=/bin/true\nLogsDirectoryMode=02755\n", nil},
	{"calendar.timer", "[Timer]\nOnCalendar=dayly\n[Install]\nWantedBy=timers.target\n", []int{2}},
	{"specifier.service", "[Service]\nExecStart=/bin/date +%F\n", []int{2}},
	{"specifier-digit.service", "[Service]\nExecStart=/bin/echo %n 50%5\n", []int{2}},
	{"specifier-good.service", "[Service]\nExecStart=/bin/echo %n %%F %%%%Z 5%% 5%-x 100% %H%m\n", nil},
	{"memory.service", "[Service]\nExecStart=/bin/true\nMemoryMax=5Q\n", []int{3}},
	{"memory-small.service", "[Service]\nExecStart=/bin/true\nMemoryHigh=512m\n", []int{3}},
	{"quota.service", "[Service]\nExecStart=/bin/true\nCPUQuota=20\n", []int{3}},
	{"nice.service", "[Service]\nExecStart=/bin/true\nNice=50\n", []int{3}},
	{"oom.service", "[Service]\nExecStart=/bin/true\nOOMScoreAdjust=-2000\n", []int{3}},
	{"environment.service", "[Service]\nExecStart=/bin/true\nEnvironment=FOO\n", []int{3}},
	{"environment-two.service", "[Service]\nExecStart=/bin/true\nEnvironment=A=b \"c\"\n", []int{3}},
	{"environment-open.service", "[Service]\nExecStart=/bin/true\nEnvironment=\"A=b\n", []int{3}},
	{"envfile.service", "[Service]\nExecStart=/bin/true\nEnvironmentFile=rel/path\n", []int{3}},
	{"envfile-maybe.service", "[Service]\nExecStart=/bin/true\nEnvironmentFile=-rel\n", []int{3}},
	{"workdir.service", "[Service]\nExecStart=/bin/true\nWorkingDirectory=foo\n", []int{3}},
	{"protect.service", "[Service]\nExecStart=/bin/true\nProtectSystem=yess\n", []int{3}},
	{"home.service", "[Service]\nExecStart=/bin/true\nProtectHome=readonly\n", []int{3}},
	{"tmp.service", "[Service]\nExecStart=/bin/true\nPrivateTmp=maybe\n", []int{3}},
	{"output.service", "[Service]\nExecStart=/bin/true\nStandardOutput=foo\n", []int{3}},
	{"input.service", "[Service]\nExecStart=/bin/true\nStandardInput=foo\n", []int{3}},
	{"memory-good.service", "[Service]\nExecStart=/bin/true\nMemoryMax=1.5G\nMemoryHigh=50%\nMemoryLow=1G 500M\nMemoryMin=0\nMemorySwapMax=infinity\nMemoryMax=1024\nMemoryMax=5B\n", nil},
	{"quota-good.service", "[Service]\nExecStart=/bin/true\nCPUQuota=150%\nCPUQuota=12.5%\n", nil},
	{"nice-good.service", "[Service]\nExecStart=/bin/true\nNice=-20\nNice=+5\nOOMScoreAdjust=-1000\n", nil},
	{"environment-good.service", "[Service]\nExecStart=/bin/true\nEnvironment=A=b \"C=d e\" 'F=g' H=\"i j\" K=%i _L=\nEnvironment=\"A=b\" B=c\\\nC=d\n", nil},
	{"envfile-good.service", "[Service]\nExecStart=/bin/true\nEnvironmentFile=-/etc/x\nEnvironmentFile=/run/%i\n", nil},
	{"workdir-good.service", "[Service]\nExecStart=/bin/true\nWorkingDirectory=~\nWorkingDirectory=-/x\nWorkingDirectory=%h\n", nil},
	{"protect-good.service", "[Service]\nExecStart=/bin/true\nProtectSystem=full\nProtectSystem=no\nProtectHome=tmpfs\nPrivateTmp=disconnected\nPrivateTmp=On\n", nil},
	{"output-good.service", "[Service]\nExecStart=/bin/true\nStandardOutput=journal+console\nStandardError=append:/x\nStandardOutput=fd:x\nStandardInput=file:/x\nStandardOutput=null\n", nil},
	{"condition.service", "[Unit]\nConditionPathExists=rel\n[Service]\nExecStart=/bin/true\n", []int{2}},
	{"condition-good.service", "[Unit]\nConditionPathExists=|!/a\nConditionFileNotEmpty=/b\nAssertPathExists=/%i\nConditionPathExists=!/c\nConditionPathIsDirectory=|/d\n[Service]\nExecStart=/bin/true\n", nil},
	{"some.target", "[Unit]\nDescription=x\n[Target]\n", nil},
	{"more.target", "[Unit]\nDescription=x\n[Service]\n", []int{3}},
}

// TestEscapes takes signs behind a backslash that have no meaning, of which
// systemd only warns.
func TestEscapes(t *testing.T) {
	if found := lines("escapes.service", "[Service]\nExecStart=/bin/sh -c '\\d \\q' \\d \\"); found != nil {
		t.Error(found)
	}
}

// TestSystemsOwnUnits finds nothing in the units that systemd comes with.
func TestSystemsOwnUnits(t *testing.T) {
	dir := tooltest.Path(t, "usr/lib/systemd/system")
	names, err := filepath.Glob(dir + "/*.*")
	if err != nil || len(names) == 0 {
		t.Fatal("no units", err)
	}
	for _, name := range names {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Base(name)
		for _, f := range append(unitcheck.Text(unit, string(text)), unitcheck.Unit(unit, string(text))...) {
			t.Errorf("%s:%d: %s; %s", unit, f.Line, f.Message, f.Remedy)
		}
	}
}

func lines(name, text string) []int {
	var out []int
	for _, f := range append(unitcheck.Text(name, text), unitcheck.Unit(name, text)...) {
		out = append(out, f.Line)
	}
	return out
}

func TestCases(t *testing.T) {
	for _, c := range cases {
		if diff := cmp.Diff(c.lines, lines(c.name, c.text)); diff != "" {
			t.Errorf("%s:\n%s%v", c.name, diff, unitcheck.Text(c.name, c.text))
		}
	}
}

// TestSystemdAgrees lets systemd-analyze of the tool set look at the same
// units: it must complain about those that we complain about, and at the
// lines that it names itself.
func TestSystemdAgrees(t *testing.T) {
	dir := t.TempDir()
	for _, c := range cases {
		file := filepath.Join(dir, c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := tooltest.Command(t, "systemd-analyze", "verify", "--man=no", "--generators=no", file)
		out, _ := cmd.CombinedOutput() // its status differs from version to version
		var theirs []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, file+":") || strings.HasPrefix(line, c.name+":") && strings.Contains(line, "Refusing") {
				theirs = append(theirs, strings.TrimSpace(line))
			}
		}
		if (len(theirs) > 0) != (len(c.lines) > 0) {
			t.Errorf("%s: we find lines %v, systemd %q", c.name, c.lines, out)
		}
		for _, line := range theirs {
			if rest, ok := strings.CutPrefix(line, file+":"); ok && len(c.lines) > 0 && !strings.HasPrefix(rest, fmt.Sprint(c.lines[0], ":")) {
				t.Errorf("%s: we find line %d, systemd %s", c.name, c.lines[0], line)
			}
		}
	}
}

func TestReferences(t *testing.T) {
	m := unitcheck.Machine{
		File: func(name string) bool { return name == "/usr/bin/true" },
		Unit: func(name string) bool { return name == "a.service" },
	}
	text := "[Unit]\nRequires=a.service b.service\nWants=c.service\n[Service]\nExecStartPre=-/none\nExecStart=/usr/bin/true x\nExecStart=true\nExecStop=!/opt/x\nExecReload=none\nExecStopPost=/%i\n"
	var got []string
	for _, f := range unitcheck.References(text, m) {
		got = append(got, fmt.Sprint(f.Line, " ", f.Message))
	}
	want := []string{
		"2 Requires=b.service: there is no such unit, so this one cannot start",
		"8 ExecStop: there is no program /opt/x in the image or in this config",
		"9 ExecReload: there is no program none in the image",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzText(f *testing.F) {
	for _, c := range cases {
		f.Add(c.name, c.text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		n := strings.Count(text, "\n") + 1
		for _, f := range append(unitcheck.Text(name, text), unitcheck.Unit(name, text)...) {
			if f.Line > n || f.Message == "" || f.Remedy == "" {
				t.Errorf("%+v in %d lines", f, n)
			}
		}
	})
}

func TestRemedies(t *testing.T) {
	for line, want := range map[string]string{
		"[Service]\nRestrat=no":       "write Restart",
		"[Service]\nexecstart=/x":     "write ExecStart",
		"[Unit]\nExecStart=/x":        "move it to [Service]",
		"[Unit]\nSomethingOfMine=1":   "check its spelling; names of your own begin with X-",
		"[Service]\nEnvironmentfile=": "write EnvironmentFile",
		"[Install]\nWantedBuy=a.b":    "write WantedBy",
	} {
		found := unitcheck.Text("a.service", line+"\n")
		if len(found) != 1 || found[0].Remedy != want {
			t.Errorf("%q: %+v, want %q", line, found, want)
		}
	}
}
