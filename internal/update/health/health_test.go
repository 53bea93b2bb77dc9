//go:build linux

package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/sys/command"
)

const sample = `
deadline: 90s
checks:
  - units: [web.service, db.service]
  - tcp: 127.0.0.1:80
    retries: 3
    interval: 1s
  - name: front page
    http: {url: "http://127.0.0.1/", status: 200, body: "Wel+come"}
  - command: [/opt/bin/ready, --quick]
  - container: web
    timeout: 2s
`

func TestParse(t *testing.T) {
	checks, err := Parse("/etc/wellcar/health.d/web.yaml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"units web.service, db.service (/etc/wellcar/health.d/web.yaml:4)", "tcp 127.0.0.1:80 (/etc/wellcar/health.d/web.yaml:5)",
		"front page (/etc/wellcar/health.d/web.yaml:8)", "command /opt/bin/ready --quick (/etc/wellcar/health.d/web.yaml:10)", "container web (/etc/wellcar/health.d/web.yaml:11)",
	}
	for i, c := range checks {
		if c.String() != want[i] || c.deadline != 90*time.Second {
			t.Errorf("%d: %s, %s", i, c, c.deadline)
		}
	}
	if checks[1].Retries != 3 || checks[1].Interval != Duration(time.Second) || checks[4].Timeout != Duration(2*time.Second) {
		t.Errorf("%+v", checks)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"checks:\n  - {}":                                        "x.yaml:2:5: a check has exactly one",
		"checks:\n  - {tcp: a, container: b}":                    "not 2",
		"checks:\n  - tpc: 1":                                    `no key "tpc"`,
		"checks:\n  - command: [ready]":                          "whole path",
		"checks:\n  - http: {url: ftp://x}":                      "http or https",
		"checks:\n  - http: {url: 'http://x', body: '('}":        "missing closing",
		"checks:\n  - {tcp: 'a:1', interval: soon}":              `x.yaml:2: "soon" is no duration`,
		"checks:\n  - {tcp: 'a:1', retries: -1}":                 "-1 retries",
		"checks:\n  - word":                                      "is a mapping",
		"deadline: 48h":                                          "longer than",
		"check: []":                                              "x.yaml:1: key check is not known here",
		"checks:\n  - {tcp: a, container: b}\n  - command: [hm]": "x.yaml:3:5",
	} {
		if _, err := Parse("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	root := t.TempDir()
	if checks, err := Load(root); err != nil || len(checks) > 0 {
		t.Errorf("without a folder: %v, %v", checks, err)
	}
	if err := os.MkdirAll(filepath.Join(root, Dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"b.yaml": "checks: [{tcp: 'b:1'}]", "a.yml": "checks: [{tcp: 'a:1'}]", "c.txt": "no", "d.yaml": ""} {
		if err := os.WriteFile(filepath.Join(root, Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := Load(root)
	if err != nil || len(checks) != 2 || checks[0].String() != "tcp a:1 (/etc/wellcar/health.d/a.yml:1)" {
		t.Errorf("%v, %v", checks, err)
	}
}

// clock makes time pass at once, except for deadlines, which come when told.
func clock(deadline chan time.Time) func(time.Duration) <-chan time.Time {
	return func(d time.Duration) <-chan time.Time {
		if d >= time.Minute {
			return deadline
		}
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	}
}

func TestGate(t *testing.T) {
	checks, err := Parse("h.yaml", []byte("checks:\n  - {tcp: 'a:1'}\n  - {tcp: 'b:1', retries: 2}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		holds func(address string, try int) bool
		want  string
	}{
		"at once":         {func(string, int) bool { return true }, ""},
		"slow":            {func(_ string, try int) bool { return try > 1 }, ""},
		"out of tries":    {func(a string, try int) bool { return a == "a:1" }, "tcp b:1 (h.yaml:3) did not hold in 3 tries: closed"},
		"up and down":     {func(a string, try int) bool { return a == "b:1" || try == 1 }, "tcp a:1 (h.yaml:2) held and then did not: closed"},
		"out of deadline": {func(a string, try int) bool { return a == "b:1" }, "tcp a:1 (h.yaml:2) did not hold within 5m0s: closed"},
	} {
		t.Run(name, func(t *testing.T) {
			deadline := make(chan time.Time)
			tries := map[string]chan int{"a:1": make(chan int, 1), "b:1": make(chan int, 1)}
			for _, n := range tries {
				n <- 0
			}
			probe := func(_ context.Context, check Check) error {
				n := <-tries[check.TCP] + 1
				tries[check.TCP] <- n
				if n == 20 {
					close(deadline)
				}
				if c.holds(check.TCP, n) {
					return nil
				}
				return errors.New("closed")
			}
			err := Gate{Probe: probe, After: clock(deadline), Logf: t.Logf}.Prove(t.Context(), checks)
			if fmt.Sprint(err) != c.want && !(err == nil && c.want == "") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestProbeNetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, "Welcome")
	}))
	defer server.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	probe := Probe(nil)
	for _, c := range []struct {
		check Check
		want  bool
	}{
		{Check{TCP: server.Listener.Addr().String()}, true},
		{Check{TCP: closed.Addr().String()}, false},
		{Check{HTTP: &HTTP{URL: server.URL}}, true},
		{Check{HTTP: &HTTP{URL: server.URL, Body: "^Wel"}}, true},
		{Check{HTTP: &HTTP{URL: server.URL, Body: "^com"}}, false},
		{Check{HTTP: &HTTP{URL: server.URL + "/x"}}, false},
		{Check{HTTP: &HTTP{URL: server.URL + "/x", Status: 418}}, true},
	} {
		if err := probe(t.Context(), c.check); (err == nil) != c.want {
			t.Errorf("%s: %v", c.check, err)
		}
	}
}

func TestProbePrograms(t *testing.T) {
	answers := map[string]string{
		"systemctl show --property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic -- a.service":         "Id=a.service\nActiveState=active\n",
		"systemctl show --property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic -- b.service":         "Id=b.service\nActiveState=failed\nType=oneshot\nResult=exit-code\n",
		"systemctl show --property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic -- c.service":         "Id=c.service\nActiveState=inactive\nType=oneshot\nResult=success\nExecMainExitTimestampMonotonic=17\n",
		"systemctl show --property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic -- d.service":         "Id=d.service\nActiveState=inactive\nType=oneshot\nResult=success\nExecMainExitTimestampMonotonic=0\n",
		"systemctl show --property=Id,ActiveState,Result,Type,ExecMainExitTimestampMonotonic -- multi-user.target": "Id=multi-user.target\nActiveState=active\n",
		"systemctl show --property=Id,FragmentPath --state=failed *":                                               "Id=web.service\nFragmentPath=/etc/systemd/system/web.service\n\nId=sshd.socket\nFragmentPath=/usr/lib/systemd/system/sshd.socket\n",
		"docker inspect":  "running healthy\n",
		"/opt/ready fast": "",
	}
	run := func(_ context.Context, c command.Cmd) (command.Result, error) {
		line := strings.Join(append([]string{c.Path}, c.Args...), " ")
		for want, out := range answers {
			if strings.HasPrefix(line, want) {
				return command.Result{Stdout: []byte(out)}, nil
			}
		}
		return command.Result{}, errors.New("no such program: " + line)
	}
	for _, c := range []struct {
		check Check
		want  string
	}{
		{Check{Units: []string{"a.service"}}, ""},
		{Check{Units: []string{"b.service"}}, "unit b.service is failed"},
		{Check{Units: []string{"c.service"}}, ""},
		{Check{Units: []string{"d.service"}}, "unit d.service has not run"},
		{Check{Command: []string{"/opt/ready", "fast"}}, ""},
		{Check{Command: []string{"/opt/other"}}, "no such program"},
		{Check{Container: "web"}, ""},
		{Default()[0], "failed units: sshd.socket"},
	} {
		err := Probe(run)(t.Context(), c.check)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.check, err, c.want)
		}
	}
}

// TestBaseWaits: by the deadline, units of the owner that are at work do not
// count against a version, and those of the image do.
func TestBaseWaits(t *testing.T) {
	for name, c := range map[string]struct{ jobs, failed, want string }{
		"the owner's":  {"12 multi-user.target start waiting\n13 fill.service start running\n14 docker.service start waiting\n", "", ""},
		"the image's":  {"12 multi-user.target start waiting\n13 fill.service start running\n14 docker.service start running\n", "", "at work: docker.service"},
		"no job":       {"", "", "unit multi-user.target is inactive"},
		"a failed one": {"13 fill.service start running\n", "Id=sshd.socket\nFragmentPath=/usr/lib/systemd/system/sshd.socket\n", "failed units: sshd.socket"},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(_ context.Context, cmd command.Cmd) (command.Result, error) {
				line := strings.Join(cmd.Args, " ")
				out := ""
				switch {
				case strings.HasPrefix(line, "list-jobs"):
					out = c.jobs
				case strings.Contains(line, "--state=failed"):
					out = c.failed
				case strings.Contains(line, "multi-user.target"):
					out = "Id=multi-user.target\nActiveState=inactive\n"
				default:
					if strings.Contains(line, "docker.service") {
						out = "Id=docker.service\nFragmentPath=/usr/lib/systemd/system/docker.service\n\n"
					}
					out += "Id=fill.service\nFragmentPath=/etc/systemd/system/fill.service\n"
				}
				return command.Result{Stdout: []byte(out)}, nil
			}
			deadline := make(chan time.Time, 1)
			tries := 0
			probe := func(ctx context.Context, check Check) error {
				if tries++; tries == 3 {
					deadline <- time.Time{}
				}
				if !check.late && tries < 3 && Probe(run)(ctx, check) == nil {
					t.Error("it holds before the deadline")
				}
				return Probe(run)(ctx, check)
			}
			err := Gate{Probe: probe, After: clock(deadline), Logf: t.Logf}.Prove(t.Context(), Default())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// FuzzParse holds that a check that is taken has a place and a limit, and that errors
// have a place.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("checks:\n- {tcp: x}\n- {command: []}\n")
	f.Add("deadline: -1s\nchecks: {}\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		checks, err := Parse("/h.yaml", []byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "/h.yaml:") {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		for _, c := range checks {
			if c.deadline <= 0 || !strings.HasPrefix(c.origin, "/h.yaml:") {
				t.Errorf("%+v", c)
			}
		}
	})
}
