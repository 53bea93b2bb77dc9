//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
)

// call runs wellcard and returns exit code, stdout and stderr.
func call(args ...string) (int, string, string) {
	var out, errOut bytes.Buffer
	code := run(context.Background(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestAppletTable(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"wellcard", "help"}, 0, "provision        set the machine up"},
		{[]string{"wellcard"}, 2, "Usage: wellcard"},
		{[]string{"wellcard", "nope"}, 2, `there is no applet "nope"`},
		{[]string{"/usr/bin/provision"}, 2, "--platform or --config is needed"},
		{[]string{"wellcard", "provision", "--help"}, 0, "-platform"},
		{[]string{"wellcard", "provision", "--platform", "qemu", "x"}, 2, `unexpected word "x"`},
		{[]string{"wellcard", "report", "--record", "/nonexistent/r"}, 0, "provisioned nothing"},
	} {
		code, out, errOut := call(tc.args...)
		if code != tc.code || !strings.Contains(out+errOut, tc.want) {
			t.Errorf("%v: %d\n%s%s", tc.args, code, out, errOut)
		}
	}
}

func TestProvisionAndReport(t *testing.T) {
	dir := t.TempDir()
	root, record := filepath.Join(dir, "root"), filepath.Join(dir, "run/provision.json")
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("c.ign", `{"ignition":{"version":"3.4.0"},"storage":{"links":[{"path":"/l","target":"/t"}],"files":[{"path":"/f","contents":{"source":"data:,x"}}]}}`)
	write("root/f", "other")
	t.Setenv("IGNITION_CONFIG_FILE", filepath.Join(dir, "c.ign"))
	args := []string{"wellcard", "provision", "--root", root, "--platform", "file", "--record", record, "--sync=false"}

	if code, out, errOut := call(append(args, "--plan")...); code != 0 || !strings.Contains(out, "write file") {
		t.Errorf("plan: %d %s %s", code, out, errOut)
	}
	if _, err := os.Lstat(filepath.Join(root, "l")); err == nil {
		t.Error("the plan was carried out")
	}
	code, _, errOut := call(args...)
	lines := strings.Split(strings.TrimSpace(errOut), "\n")
	if last := lines[len(lines)-1]; code != 1 || !strings.Contains(last, "c.ign:1:91: cannot write file /f") {
		t.Errorf("%d %s", code, errOut)
	}
	if _, out, _ := call("wellcard", "report", "--record", record); !strings.Contains(out, "Provisioning failed") {
		t.Error(out)
	}
	if _, out, _ := call("wellcard", "report", "--record", record, "--json"); !strings.Contains(out, `"sentence"`) {
		t.Error(out)
	}
}

// owner gives a file to whoever runs the tests, who may not give it to root.
func owner() string {
	return fmt.Sprintf(`"user":{"id":%d},"group":{"id":%d}`, os.Getuid(), os.Getgid())
}

func TestStagesInSeparateProcesses(t *testing.T) {
	dir := t.TempDir()
	root, record := filepath.Join(dir, "root"), filepath.Join(dir, "provision.json")
	if err := os.MkdirAll(filepath.Join(root, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "c.ign")
	text := "{\"ignition\":{\"version\":\"3.4.0\"},\n\"storage\":{\"files\":[{\"path\":\"/f\"," + owner() + ",\"contents\":{\"source\":\"data:,x\"}},\n{\"path\":\"/there\"}]}}"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IGNITION_CONFIG_FILE", config)
	stages := func(names string) (int, string, string) {
		return call("wellcard", "provision", "--root", root, "--platform", "file", "--record", record, "--sync=false", "--stage", names,
			"--config-cache", filepath.Join(dir, "cache"), "--state-file", filepath.Join(dir, "state"), "--neednet", filepath.Join(dir, "neednet"))
	}
	if code, _, errOut := stages("files,fetch"); code != 2 || !strings.Contains(errOut, "in this order") {
		t.Errorf("%d %s", code, errOut)
	}
	if code, out, errOut := stages("fetch-offline,fetch,kargs,disks"); code != 0 {
		t.Fatalf("%d %s %s", code, out, errOut)
	}
	if err := os.Remove(config); err != nil { // the rest works from the cache
		t.Fatal(err)
	}
	code, _, errOut := stages("mount,files,umount")
	if want := config + ":3:1: cannot keep or create file /there"; code != 1 || !strings.Contains(errOut, want) {
		t.Errorf("%d %s", code, errOut)
	}
	if _, out, _ := call("wellcard", "report", "--record", record); !strings.Contains(out, "/f") {
		t.Error(out)
	}
}

// TestKeptBeforeUnmount has the applied config written before the umount stage
// takes /var away, and never after it.
func TestKeptBeforeUnmount(t *testing.T) {
	dir := t.TempDir()
	config := provision.Empty("c.ign")
	config.UserProvided = true
	p := &provisioning{root: dir, record: filepath.Join(dir, "run/provision.json"), log: plainLog{io.Discard, "provision"}, reporter: reporter{full: &config}}
	p.rec.Steps = []provision.RecordedStep{{Kind: "writeFile", Outcome: provision.Done}, {Kind: "unmount", Outcome: provision.Pending}}
	ended := p.session().Ended
	ended(provision.StageMount, nil)
	if _, err := os.Stat(filepath.Join(dir, storedRecord)); err == nil {
		t.Error("kept before there are files")
	}
	ended(provision.StageFiles, nil)
	for _, name := range []string{storedRecord, appliedConfig, appliedPlaces} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(dir, storedRecord)); !bytes.Contains(data, []byte("writeFile")) || bytes.Contains(data, []byte("pending")) {
		t.Errorf("%s", data)
	}
	if err := os.RemoveAll(filepath.Join(dir, "var")); err != nil { // as umount does
		t.Fatal(err)
	}
	ended(provision.StageUmount, nil)
	if err := p.saveRecord(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "var")); err == nil {
		t.Error("written below the mount point")
	}
}

// TestUndoKeepsLaterWork undoes a change for good only where nobody worked
// since.
func TestUndoKeepsLaterWork(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("what is written belongs to root, and only root can give it")
	}
	dir := t.TempDir()
	root, config, file := filepath.Join(dir, "root"), filepath.Join(dir, "c.ign"), filepath.Join(dir, "root/f")
	text := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/f","contents":{"source":"data:,x"}}]}}`
	for _, err := range []error{os.Mkdir(root, 0o755), os.WriteFile(config, []byte(text), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	apply := func(code int, want string, args ...string) {
		t.Helper()
		got, out, errOut := call(append([]string{"wellcard", "apply", "--root", root}, args...)...)
		if got != code || !strings.Contains(out+errOut, want) {
			t.Errorf("%v: %d %s%s", args, got, out, errOut)
		}
	}
	apply(0, "add file /f", config)
	if err := os.WriteFile(file, []byte("later"), 0o644); err != nil {
		t.Fatal(err)
	}
	apply(1, "this would destroy what changed since: /f; give --force", "--undo")
	if data, _ := os.ReadFile(file); string(data) != "later" {
		t.Errorf("%q", data)
	}
	apply(0, "undone", "--undo", "--force")
	if _, err := os.Stat(file); err == nil {
		t.Error("it is still there")
	}
	apply(0, "add file /f", config)
	apply(0, "undone", "--undo")
}

// TestOneChangeAtATime has a second person told, and the end of the time wait
// for a change that is under way.
func TestOneChangeAtATime(t *testing.T) {
	dir := t.TempDir()
	holder := &applying{root: dir}
	lock, err := holder.lock()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--confirm"}, {"--undo"}, {filepath.Join(dir, "c.ign")}} {
		code, _, errOut := call(append([]string{"wellcard", "apply", "--root", dir}, args...)...)
		if code != 1 || !strings.Contains(errOut, "another wellcard apply changes this machine right now") {
			t.Errorf("%v: %d %s", args, code, errOut)
		}
	}
	ended := make(chan string)
	go func() {
		_, out, errOut := call("wellcard", "apply", "--root", dir, "--undo", "--expired")
		ended <- out + errOut
	}()
	journal := filepath.Join(dir, "var/lib/wellcar/undo/journal.json")
	if err := os.MkdirAll(filepath.Dir(journal), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, []byte(`{"phase":"trying"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	select {
	case said := <-ended:
		t.Fatalf("it did not wait: %s", said)
	default:
	}
	lock.Close()
	if said := <-ended; !strings.Contains(said, "undone: 0 paths") {
		t.Error(said)
	}
}

// applyTo runs the applet for a root of the test's own, with a config.
func applyTo(t *testing.T, root, config string, args ...string) (int, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.ign")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := call(append([]string{"wellcard", "apply", "--root", root, file}, args...)...)
	return code, out + errOut
}

// TestApplyFetches has a config that another one, and a file, come from a
// server, with what the config says of fetching.
func TestApplyFetches(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("what is written belongs to root, and only root can give it")
	}
	files := map[string]string{"/f": "fetched"}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, files[r.URL.Path]) // of any host
	}))
	defer proxy.Close()
	files["/more.ign"] = `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/f","contents":{"source":"http://files.example/f"}}]}}`
	root := t.TempDir()
	config := fmt.Sprintf(`{"ignition":{"version":"3.4.0","proxy":{"httpProxy":%q},"config":{"merge":[{"source":"http://configs.example/more.ign"}]}}}`, proxy.URL)
	if code, said := applyTo(t, root, config); code != 0 || !strings.Contains(said, "add file /f") {
		t.Errorf("%d %s", code, said)
	}
	if data, err := os.ReadFile(filepath.Join(root, "f")); err != nil || string(data) != "fetched" {
		t.Errorf("%q %v", data, err)
	}
}

// TestApplyKeepsBase lays a new config over the base config of the OEM
// partition, which was below the applied one.
func TestApplyKeepsBase(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("what is written belongs to root, and only root can give it")
	}
	root := t.TempDir()
	base := filepath.Join(root, "oem/base/base.ign")
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		t.Fatal(err)
	}
	const empty = `{"ignition":{"version":"3.4.0"}}`
	text := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/agent","contents":{"source":"data:,x"}}]}}`
	if err := os.WriteFile(base, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, said := applyTo(t, root, empty); code != 0 || !strings.Contains(said, "add file /agent") {
		t.Errorf("%d %s", code, said)
	}
	if code, said := applyTo(t, root, empty, "--plan"); code != 0 || said != "Nothing to change.\n" {
		t.Errorf("%d %s", code, said)
	}
	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	if code, said := applyTo(t, root, empty, "--plan"); code != 0 || !strings.Contains(said, "remove file /agent") {
		t.Errorf("%d %s", code, said)
	}
}

func TestIgnitionCommandLine(t *testing.T) {
	dir := t.TempDir()
	root, config := filepath.Join(dir, "root"), filepath.Join(dir, "config.ign")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	text := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/f","contents":{"source":"data:,x"}}]}}`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "cmdline")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"IGNITION_CONFIG_FILE": config, "IGNITION_KERNEL_CMDLINE_PATH": empty, "IGNITION_SYSTEM_RUNTIME_CONFIG_DIR": dir,
		"IGNITION_SYSTEM_LOCAL_CONFIG_DIR": dir, "IGNITION_SYSTEM_CONFIG_DIR": dir,
	} {
		t.Setenv(name, value)
	}
	state := filepath.Join(dir, "state")
	stage := func(name string, more ...string) (int, string, string) {
		args := []string{"/usr/bin/ignition", "-platform", "file", "--stage=" + name, "-root", root, "-log-to-stdout",
			"-config-cache", filepath.Join(dir, "ignition.json"), "--neednet", filepath.Join(dir, "neednet"), "-state-file", state}
		return call(append(args, more...)...)
	}
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"ignition", "--version"}, 0, "Ignition 2."},
		{[]string{"ignition", "--stage", "files"}, 2, "'--platform' must be provided"},
		{[]string{"ignition", "--platform", "file"}, 2, "'--stage' must be provided"},
		{[]string{"ignition", "--platform", "nope"}, 2, "no such platform"},
		{[]string{"ignition", "--platform", "file", "--stage", "nope"}, 2, "no such stage"},
		{[]string{"ignition-apply"}, 1, "ignore-unsupported"},
		{[]string{"ignition-apply", config + "x"}, 1, "CRITICAL : failed to apply"},
		{[]string{"ignition-kargs-helper", "quiet"}, 2, `unexpected word "quiet"`},
		{[]string{"ignition-rmcfg"}, 2, "'--platform' must be provided"},
		{[]string{"ignition-rmcfg", "--platform", "metal", "--log-to-stdout"}, 0, "INFO     : Successfully deleted config"},
	} {
		code, out, errOut := call(tc.args...)
		if code != tc.code || !strings.Contains(out+errOut, tc.want) {
			t.Errorf("%v: %d\n%s%s", tc.args, code, out, errOut)
		}
	}
	if code, out, errOut := stage("files"); code != 1 || !strings.Contains(out, "CRITICAL : Ignition failed: ") || !strings.Contains(errOut, "files failed") {
		t.Errorf("without a cache: %d\n%s%s", code, out, errOut)
	}
	if os.Getuid() != 0 {
		t.Skip("what the stages write belongs to root, and only root can give it")
	}
	for _, name := range []string{"fetch-offline", "fetch", "kargs", "disks", "mount", "files", "umount"} {
		if code, out, errOut := stage(name); code != 0 || !strings.Contains(out, "INFO     : Ignition finished successfully") {
			t.Fatalf("%s: %d\n%s%s", name, code, out, errOut)
		}
	}
	if data, err := os.ReadFile(filepath.Join(root, "f")); err != nil || string(data) != "x" {
		t.Errorf("%s, %v", data, err)
	}
	if err := os.WriteFile(state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := stage("files"); code != 3 || !strings.Contains(out, "CRITICAL") {
		t.Errorf("bad state: %d %s", code, out)
	}
	t.Setenv("container", "test")
	apply := []string{"ignition-apply", "--root", root, config}
	if code, out, errOut := call(apply...); code != 0 {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	below := `{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/usr/share/x","contents":{"source":"data:,x"}}]}}`
	if err := os.WriteFile(config, []byte(below), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errOut := call(apply...); code != 0 { // the /usr of a container can be written to
		t.Errorf("%d %s%s", code, out, errOut)
	}
}
