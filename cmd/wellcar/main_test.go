package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"

	"wellcar.dev/internal/page"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// The test binary is also the program, for the processes that QEMU starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "pipe" || os.Args[1] == "qmp") {
		main()
	}
	os.Exit(m.Run())
}

// try runs the program and returns what it left.
func try(ctx context.Context, j joins, in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(ctx, &app{in: strings.NewReader(in), out: &o, err: &e, joins: j}, args)
	return code, o.String(), e.String()
}

func TestUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "x.bu")
	if err := os.WriteFile(bad, []byte("# wellcar run: --image /etc/passwd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{[]string{"fly"}, exitUsage, `unknown verb "fly"`},
		{[]string{"run", "--nonsense"}, exitUsage, "unknown flag: --nonsense; see wellcar run --help"},
		{[]string{"run", "a", "b"}, exitUsage, "2 arguments are not what run takes; write wellcar run [CONFIG]"},
		{[]string{"run", "--port", "80:0"}, exitUsage, `port "80:0": write HOST:GUEST`},
		{[]string{"run", "--port", "99999:1"}, exitUsage, "write HOST:GUEST"},
		{[]string{"run", "--memory", "10"}, exitUsage, "--memory 10: a machine needs 512 MiB at least"},
		{[]string{"run", "--cpus", "-1"}, exitUsage, "--cpus -1: a machine needs 1 at least"},
		{[]string{"run", "--disk", "big"}, exitUsage, `--disk: "big" is no size`},
		{[]string{"run", "--wait-http", "web"}, exitUsage, "write :PORT/PATH"},
		{[]string{"run", "--segment", "0"}, exitUsage, `--segment: "0" is no port: write a number from 1 to 65535`},
		{[]string{"run", "--segment", "65536"}, exitUsage, `--segment: "65536" is no port`},
		{[]string{"run", "--accel", "warp"}, exitUsage, "unknown accelerator"},
		{[]string{"run", "missing.bu"}, exitUsage, "missing.bu: no such file"},
		{[]string{"run", bad}, exitUsage, bad + ":1: unknown flag: --image"},
		{[]string{"run"}, exitFailed, "built without it"},
		{[]string{"test", "missing.md"}, exitUsage, "missing.md: no such file"},
		{[]string{"qmp", "/nonexistent", "stop", "{"}, exitUsage, "must be JSON"},
		{[]string{"qmp", "/nonexistent", "stop"}, exitFailed, "reaching QEMU's monitor"},
	} {
		code, out, errs := try(t.Context(), joins{}, "", c.args...)
		if code != c.code || !strings.Contains(errs, c.errs) || out != "" {
			t.Errorf("%q: status %d, out %q, errors %q", c.args, code, out, errs)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}} {
		if code, out, _ := try(t.Context(), joins{}, "", args...); code != 0 || !strings.Contains(out, "run ") || strings.Contains(out, "qmp") {
			t.Errorf("%q: status %d:\n%s", args, code, out)
		}
	}
	for _, verb := range []string{"run", "test"} {
		if code, out, _ := try(t.Context(), joins{}, "", verb, "--help"); code != 0 || !strings.Contains(out, "Exit status: 0 done") {
			t.Errorf("%s --help: status %d:\n%s", verb, code, out)
		}
	}
}

func TestJSONError(t *testing.T) {
	code, out, errs := try(t.Context(), joins{}, "", "--json", "run")
	var e struct {
		Event, Error string
		Code         int
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Event != "error" || e.Code != code || errs != "" {
		t.Errorf("%q %q: %+v, %v", out, errs, e, err)
	}
}

func TestExitCode(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0}, {ended, nil, 0}, {t.Context(), errors.New("x"), 1}, {ended, errors.New("x"), 130},
		{t.Context(), withCode(4, errors.New("x")), 4}, {ended, withCode(4, errors.New("x")), 130},
		{t.Context(), exitError{code: 17}, 17}, {ended, exitError{code: 0}, 0}, {t.Context(), withCode(2, nil), 0},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestMachineFromFlags(t *testing.T) {
	o := &runOptions{snapshot: true, ports: []string{"8080:80", "2222:22"}, disks: []string{"1G"}, waitHTTP: ":9000/health", kernelArgs: []string{"debug"}, segment: "5000"}
	got, err := o.machine()
	if err != nil {
		t.Fatal(err)
	}
	want := qemu.Machine{Firmware: qemu.UEFI,
		Disks: []int64{1 << 30}, Ports: []qemu.Port{{Host: 8080, Guest: 80}, {Host: 2222, Guest: 22}, {Guest: 9000}},
		KernelArgs: []string{"debug", "flatcar.autologin"}, Segment: qemu.Segment{Port: 5000},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigFlags(t *testing.T) {
	text := "variant: flatcar\n# wellcar run: --port 8080:80 --port 22 --memory 1024\n  # wellcar run: --wait-http :80/ --tpm --segment 5000\n"
	o := &runOptions{}
	c := runCommand(&app{})
	if err := c.ParseFlags([]string{"--memory", "512"}); err != nil {
		t.Fatal(err)
	}
	// The flags of the command are bound to options of its own.
	given := c.Flags()
	if err := configFlags("x.bu", []byte(text), given, o); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"memory": "512", "port": "[8080:80,22]", "wait-http": ":80/", "tpm": "true", "cpus": "0", "segment": "5000"} {
		if got := given.Lookup(name).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", name, got, want)
		}
	}
}

// Commands on the host learn the network of a page's machine, if it has one.
func TestPageSegment(t *testing.T) {
	for _, want := range []bool{true, false} {
		m, err := pageTester{opt: &testOptions{machines: 2}}.machine(page.Machine{Segment: want})
		if err != nil {
			t.Fatal(err)
		}
		s := &vmSession{guest: &guest{vm: &qemu.VM{Machine: m}}}
		told := slices.Contains(s.Env(), fmt.Sprintf("SEGMENT=%d", m.Segment.Port))
		if told != want || m.Segment.Port != 0 != want {
			t.Errorf("segment: %t, and the machine has %+v and %q", want, m.Segment, s.Env())
		}
	}
}

func TestKeyConfig(t *testing.T) {
	got, err := keyConfig("ssh-ed25519 AAAA test")
	want := `{"ignition":{"version":"3.3.0"},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":["ssh-ed25519 AAAA test"]}]}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestIgnition(t *testing.T) {
	h := &host{app: &app{joins: joins{
		translate: func(name string, data []byte) ([]byte, []byte, error) {
			return []byte(name + "=" + string(data)), []byte("source"), nil
		},
		merge: func(parts ...[]byte) ([]byte, error) { return bytes.Join(parts, []byte("+")), nil },
	}}}
	got, err := h.firmwareFiles("a.bu", []byte("text"), "key")
	if err != nil || !strings.HasPrefix(string(got[configName]), `a.bu=text+{"ignition"`) || string(got[sourceName]) != "source" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestTypeUntil(t *testing.T) {
	var out bytes.Buffer
	typeUntil(strings.NewReader("ls\r\x03rm\r"), &out, endStay)
	if out.String() != "ls\r" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	typeUntil(strings.NewReader("a\x03b"), &out, endConsole)
	if out.String() != "a\x03b" {
		t.Errorf("%q", out.String())
	}
}

func TestPipe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // answers once the question has ended
		c, err := l.Accept()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(c)
		_, _ = io.WriteString(c, strings.ToUpper(string(data)))
		c.Close()
	}()
	code, out, errs := try(t.Context(), joins{}, "question", "pipe", l.Addr().String())
	if code != 0 || out != "QUESTION" {
		t.Errorf("status %d, %q, %s", code, out, errs)
	}
}

func TestWaitHTTP(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked < 2 || r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	if err := waitHTTP(t.Context(), s.URL+"/ok"); err != nil {
		t.Error(err)
	}
	ctx, stop := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("no patience"))
	defer stop()
	if err := waitHTTP(ctx, s.URL+"/bad"); err == nil || !strings.Contains(err.Error(), "no patience") {
		t.Errorf("got %v", err)
	}
}

func TestSpanTable(t *testing.T) {
	got := spanTable([]qemu.Span{{Name: "firmware", Took: 1500 * time.Millisecond}, {Name: "initrd", Took: time.Second}, {Name: "container", Took: 2 * time.Second}},
		[]qemu.Span{{Name: "modules", Took: 400 * time.Millisecond}, {Name: "provision", Took: time.Second}})
	want := "firmware          1.50 s\ninitrd            1.00 s\n  modules         0.40 s\ncontainer         2.00 s\ntotal             4.50 s"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, "fetch        0"},
		{5, 10, "fetch        [===============               ]  50% 5 of 10"},
		{30_000_000, 20_000_000, "fetch        [==============================] 100% 20.0 MB of 20.0 MB"},
	} {
		if got := bar("fetch", c.done, c.total); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestHostPages(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.md": "```host\n$ echo a; echo b >&2\na\nb\n```\n", "bad.md": "```host\n$ exit 3\n```\n", "sub/text.md": "# Text\n", "no.txt": "```",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := joins{tools: func(context.Context, progress) (qemu.Tools, error) { return nil, nil }}
	code, out, errs := try(t.Context(), j, "", "test", "--image", "x", dir)
	if code != exitDiffers || !strings.HasSuffix(out, "1 passed, 1 failed, 1 skipped\n") || !strings.Contains(out, "bad.md:2: $ exit 3 (on the host)\n    exit status 3:") {
		t.Errorf("status %d:\n%s%s", code, out, errs)
	}
	_, out, _ = try(t.Context(), j, "", "--json", "test", "--image", "x", filepath.Join(dir, "good.md"))
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !json.Valid([]byte(lines[0])) || !strings.Contains(lines[1], `"passed":1`) {
		t.Errorf("JSON:\n%s", out)
	}
}

// TestSecondTry names a page that fails at first.
func TestSecondTry(t *testing.T) {
	dir := t.TempDir()
	flaky, made := filepath.Join(dir, "flaky.md"), filepath.Join(dir, "made")
	if err := os.WriteFile(flaky, []byte("```host\n$ mkdir "+made+" 2>/dev/null && exit 3; true\n```\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := joins{tools: func(context.Context, progress) (qemu.Tools, error) { return nil, nil }}
	code, out, errs := try(t.Context(), j, "", "test", "--again", "--image", "x", flaky)
	if want := "\npassed on the second try: " + flaky + "\n1 passed, 0 failed, 0 skipped; 1 of them on the second try\n"; code != exitOK || !strings.HasSuffix(out, want) {
		t.Errorf("status %d:\n%s%s", code, out, errs)
	}
	_, out, _ = try(t.Context(), j, "", "test", "--again", "--image", "x", flaky)
	if !strings.HasSuffix(out, "\n1 passed, 0 failed, 0 skipped\n") || strings.Contains(out, "second") {
		t.Errorf("the second run:\n%s", out)
	}
}

func vmJoins(t *testing.T) (joins, string) {
	t.Helper()
	image := os.Getenv("WELLCAR_TEST_IMAGE")
	if image == "" || os.Getenv("WELLCAR_VM") != "1" {
		t.Skip("needs WELLCAR_VM=1, WELLCAR_TEST_IMAGE and WELLCAR_TOOLS: boots machines")
	}
	tools := tooltest.Set(t)
	t.Setenv("WELLCAR_CACHE", t.TempDir())
	return joins{
		tools:     func(context.Context, progress) (qemu.Tools, error) { return tools, nil },
		translate: translate,
		merge:     mergeConfigs,
		containers: func(context.Context, progress) (map[string]v1.Image, error) {
			return map[string]v1.Image{"hello": empty.Image}, nil
		},
	}, image
}

// Many connections at once reach the registry through the guest's network.
func TestVMRunExec(t *testing.T) {
	j, image := vmJoins(t)
	config := filepath.Join(t.TempDir(), "x.bu")
	if err := os.WriteFile(config, []byte("# from 10.0.2.100:5000\nvariant: flatcar\nversion: 1.1.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := `for i in 1 2 3 4 5 6 7 8; do wget -q -O - http://10.0.2.100:5000/v2/hello/tags/list & done; wait; exit 7`
	code, out, errs := try(t.Context(), j, "", "run", config, "--image", image, "--exec", command, "--timeout", "10m")
	if code != 7 || strings.Count(out, `"tags":["latest"]`) != 8 {
		t.Errorf("status %d, out %q, errors %s", code, out, errs)
	}
}

func TestVMRunReady(t *testing.T) {
	j, image := vmJoins(t)
	code, out, errs := try(t.Context(), j, "", "run", "--image", image, "--exit-when-ready", "--timeout", "10m")
	if code != 0 || !strings.HasPrefix(out, "ssh -p ") || !strings.Contains(out, "\nfirmware ") || !strings.Contains(errs, "accelerator: ") {
		t.Errorf("status %d, out %s, errors %s", code, out, errs)
	}
	t.Log(out, errs)
}

func TestVMPages(t *testing.T) {
	j, image := vmJoins(t)
	file := filepath.Join(t.TempDir(), "page.md")
	text := "---\nmachine: {disks: [16M], memory: 1024}\n---\n```console\n$ ls -d /dev/vd*\n...\n/dev/vda9\n/dev/vdb\n# reboot\n```\n" +
		"```host\n$ wellcar qmp $MONITOR query-status\n...running...\n```\n```console wait=30s\n$ cat /proc/loadavg\n... ...\n```\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := try(t.Context(), j, "", "test", "--image", image, file)
	if code != 0 || !strings.HasSuffix(out, "1 passed, 0 failed, 0 skipped\n") {
		t.Errorf("status %d, out %s, errors %s", code, out, errs)
	}
}
