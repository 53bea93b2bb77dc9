package page

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fake is a machine that answers from a table; "count" counts its calls.
type fake struct {
	mu     sync.Mutex
	log    []string
	count  int
	closed atomic.Int32
}

func (f *fake) Run(ctx context.Context, command string, root bool) (Output, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, fmt.Sprintf("%s root=%t", command, root))
	switch command {
	case "count":
		f.count++
		return Output{Text: fmt.Sprintln(f.count)}, nil
	case "false":
		return Output{Text: "no\n", Code: 1}, nil
	case "cut":
		return Output{}, errors.New("the connection is gone")
	case "hang":
		<-ctx.Done()
		return Output{}, context.Cause(ctx)
	}
	return Output{Text: command + "\n"}, nil
}

func (f *fake) Reboot(_ context.Context, command string, root bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, "REBOOT "+command)
	return nil
}
func (f *fake) Env() []string { return []string{"SSH_PORT=2222"} }
func (f *fake) Close() error  { f.closed.Add(1); return nil }

func mustParse(t *testing.T, file, text string) Page {
	t.Helper()
	p, err := Parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func console(body string) string { return "```console\n" + body + "\n```\n" }

func TestRunner(t *testing.T) {
	pages := []Page{
		mustParse(t, "good.md", console("$ a\na\n# b\n$ false\nno\n# systemctl reboot\n$ c")),
		mustParse(t, "differs.md", console("$ a\nb\n$ never")),
		mustParse(t, "status.md", console("$ false")),
		mustParse(t, "demanded.md", "```console status=1\n$ false\n```\n```console status=0\n$ false\nno\n```"),
		mustParse(t, "cut.md", console("$ cut\n...")),
		mustParse(t, "waits.md", "```console wait\n$ count\n2\n```"),
		mustParse(t, "late.md", "```console wait=1ms\n$ a\nb\n```"),
		mustParse(t, "hangs.md", "---\ntimeout: 10ms\n---\n"+console("$ hang")),
		mustParse(t, "text.md", "# Nothing\n"),
		mustParse(t, "needy.md", "---\nneeds: [registry, kvm]\n---\n"+console("$ a")),
		mustParse(t, "host.md", "```host\n$ date\non the host SSH_PORT=2222? no: \n```"),
		mustParse(t, "host2.md", "```butane\n```\n```host\n$ date\ndate SSH_PORT=2222\n```"),
	}
	var machines []*fake
	var mu sync.Mutex
	r := Runner{
		Have: []string{"registry"},
		Start: func(context.Context, Boot) (Session, error) {
			mu.Lock()
			defer mu.Unlock()
			machines = append(machines, &fake{})
			return machines[len(machines)-1], nil
		},
		Host: func(_ context.Context, command string, env []string) (Output, error) {
			return Output{Text: command + " " + strings.Join(env, " ")}, nil
		},
	}
	reported := 0
	r.Report = func(Result) { reported++ }
	got := r.Run(t.Context(), pages)
	want := []Result{
		{File: "good.md", Status: Passed},
		{File: "differs.md", Status: Failed, Line: 2, Reason: "differs.md:2: $ a\nthe output differs (- wanted, + came; exit status 0):\n+ a\n- b\n"},
		{File: "status.md", Status: Failed, Line: 2, Reason: "status.md:2: $ false\nexit status 1:\n+ no\n"},
		{File: "demanded.md", Status: Failed, Line: 5, Reason: "demanded.md:5: $ false\nexit status 1:\n+ no\n"},
		{File: "cut.md", Status: Failed, Line: 2, Reason: "cut.md:2: $ cut\nthe connection is gone"},
		{File: "waits.md", Status: Passed},
		{File: "late.md", Status: Failed, Line: 2, Reason: "late.md:2: $ a\nit did not come within 1ms; the last try: the output differs (- wanted, + came; exit status 0):\n+ a\n- b\n"},
		{File: "hangs.md", Status: Failed, Line: 5, Reason: "hangs.md:5: $ hang\nthe page's time of 10ms is over"},
		{File: "text.md", Status: Skipped, Reason: "it has nothing to run"},
		{File: "needy.md", Status: Skipped, Reason: "it needs kvm"},
		{File: "host.md", Status: Failed, Line: 2, Reason: "host.md:2: $ date (on the host)\nthe output differs (- wanted, + came; exit status 0):\n+ date\n- on the host SSH_PORT=2222? no:\n"},
		{File: "host2.md", Status: Passed},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Took")); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if p, f, s := Count(got); p != 3 || f != 7 || s != 2 || reported != len(pages) {
		t.Errorf("%d passed, %d failed, %d skipped, %d reported", p, f, s, reported)
	}
	for _, m := range machines {
		if m.closed.Load() != 1 {
			t.Errorf("a machine that ran %q was closed %d times", m.log, m.closed.Load())
		}
	}
}

func TestSharedBoot(t *testing.T) {
	front := func(machine string) string { return "---\nmachine: {share: s, " + machine + "}\n---\n" }
	pages := []Page{
		mustParse(t, "a.md", front("disks: [1G], memory: 1024")+"```butane\na: 1\n```\n"+console("# systemctl reboot")+"```console reboots\n# change\n```\n"),
		mustParse(t, "alone.md", console("$ x")),
		mustParse(t, "b.md", front("disks: [512M, 2G], tpm: true")+"```butane\nb: 2\n```\n"+console("# x")),
	}
	boots := Group(pages)
	if len(boots) != 2 || boots[0].Name != "s" || boots[1].Name != "alone.md" {
		t.Fatalf("boots %+v", boots)
	}
	wantMachine := Machine{Disks: []Size{1 << 30, 2 << 30}, Memory: 1024, TPM: true}
	wantConfigs := []Config{{"a.md:4", []byte("a: 1\n")}, {"b.md:4", []byte("b: 2\n")}}
	if diff := cmp.Diff(wantMachine, boots[0].Machine); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(wantConfigs, boots[0].Configs); diff != "" {
		t.Error(diff)
	}
	machine := &fake{}
	r := Runner{Start: func(context.Context, Boot) (Session, error) { return machine, nil }, Machines: 1}
	if p, _, _ := Count(r.Run(t.Context(), pages)); p != 3 {
		t.Errorf("%d passed", p)
	}
	if diff := cmp.Diff([]string{"x root=true", "REBOOT systemctl reboot", "REBOOT change", "x root=false"}, machine.log); diff != "" {
		t.Error(diff)
	}
}

// Two pages with a segment have two machines, each with a network of its own.
func TestSegments(t *testing.T) {
	front := "---\nmachine: {segment: true}\n---\n"
	boots := Group([]Page{mustParse(t, "a.md", front+console("$ x")), mustParse(t, "b.md", front+console("$ x")), mustParse(t, "c.md", console("$ x"))})
	var got []bool
	for _, b := range boots {
		got = append(got, b.Machine.Segment)
	}
	if diff := cmp.Diff([]bool{true, true, false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLongestFirst(t *testing.T) {
	front := func(meta string) string { return "---\n" + meta + "\n---\n" + console("$ a") }
	pages := []Page{
		mustParse(t, "short.md", console("$ a")),
		mustParse(t, "part1.md", front("machine: {share: s}\ntimeout: 8m")),
		mustParse(t, "long.md", front("timeout: 15m")),
		mustParse(t, "part2.md", front("machine: {share: s}\ntimeout: 8m")),
		mustParse(t, "too.md", console("$ a")),
	}
	var started []string
	r := Runner{Machines: 1, Start: func(_ context.Context, b Boot) (Session, error) {
		started = append(started, b.Name)
		return &fake{}, nil
	}}
	got := r.Run(t.Context(), pages)
	if diff := cmp.Diff([]string{"s", "long.md", "short.md", "too.md"}, started); diff != "" {
		t.Error(diff)
	}
	if got[0].File != "short.md" || got[3].File != "part2.md" {
		t.Errorf("the results have another order than the pages: %+v", got)
	}
}

func TestBootFails(t *testing.T) {
	pages := []Page{mustParse(t, "a.md", console("$ x"))}
	r := Runner{Start: func(context.Context, Boot) (Session, error) { return nil, errors.New("no firmware") }}
	got := r.Run(t.Context(), pages)
	if got[0].Status != Failed || got[0].Reason != "booting its machine: no firmware" {
		t.Errorf("%+v", got)
	}
}

// TestSharedReboot runs pages that restart their one machine, one of them twice.
func TestSharedReboot(t *testing.T) {
	pages := []Page{
		mustParse(t, "a.md", "---\nmachine: {share: s}\n---\n"+console("$ a1\n# reboot\n$ a2\n# systemctl reboot\n$ a3")),
		mustParse(t, "b.md", "---\nmachine: {share: s}\n---\n"+console("$ b1\n# systemctl reboot\n$ false\n# reboot\n$ b3")),
		mustParse(t, "c.md", "---\nmachine: {share: s}\n---\n"+console("$ c1\n# systemctl kexec\n$ c2")),
	}
	m := &fake{}
	r := Runner{Start: func(context.Context, Boot) (Session, error) { return m, nil }}
	got := r.Run(t.Context(), pages)
	want := []Result{{File: "a.md", Status: Passed}, {File: "b.md", Status: Failed, Line: 7, Reason: "b.md:7: $ false\nexit status 1:\n+ no\n"}, {File: "c.md", Status: Passed}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Took")); diff != "" {
		t.Error(diff)
	}
	log := []string{"a1 root=false", "b1 root=false", "c1 root=false", "REBOOT systemctl kexec", "c2 root=false",
		"REBOOT reboot", "a2 root=false", "false root=false", "REBOOT systemctl reboot", "a3 root=false"}
	if diff := cmp.Diff(log, m.log); diff != "" {
		t.Error(diff)
	}
}

func TestRebootCommands(t *testing.T) {
	for command, want := range map[string]bool{
		"systemctl reboot": true, "reboot": true, "sudo systemctl reboot --force": true, "systemctl kexec": true,
		"echo reboot": false, "systemctl status reboot.target": false, "rebooted": false,
	} {
		if reboots.MatchString(command) != want {
			t.Errorf("%q: %t", command, !want)
		}
	}
}

// Only what failed runs again: "count" answers 1 at first.
func TestAgain(t *testing.T) {
	m := &fake{}
	r := Runner{Start: func(context.Context, Boot) (Session, error) { return m, nil }}
	pages := []Page{
		mustParse(t, "a.md", "# Nothing\n"),
		mustParse(t, "b.md", console("$ count\n2")),
		mustParse(t, "c.md", console("$ false\nyes")),
		mustParse(t, "d.md", console("$ d\nd")),
	}
	var got []string
	for _, res := range r.Again(t.Context(), pages, r.Run(t.Context(), pages)) {
		got = append(got, fmt.Sprint(res.Status, res.Second))
	}
	if diff := cmp.Diff([]string{fmt.Sprint(Skipped, false), fmt.Sprint(Passed, true), fmt.Sprint(Failed, true), fmt.Sprint(Passed, false)}, got); diff != "" {
		t.Error(diff)
	}
	if n := len(m.log); n != 5 {
		t.Errorf("%d commands, want the two that failed again: %q", n, m.log)
	}
}
