package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// guest is a root directory to provision, as any user.
type guest struct {
	t        *testing.T
	dir      string
	owners   map[string]string // name to uid:gid, as far as changed
	commands []string
	enabled  map[string]bool // units that is-enabled says yes to
	outcomes []string
	target   provision.Target
}

func newGuest(t *testing.T, files map[string]string) *guest {
	t.Helper()
	g := &guest{t: t, dir: filepath.Join(t.TempDir(), "root"), owners: map[string]string{}, enabled: map[string]bool{}}
	g.put("etc/passwd", "root:x:0:0::/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n")
	g.put("etc/group", "root:x:0:\ncore:x:500:\nstaff:x:50:\n")
	for name, text := range files {
		g.put(name, text)
	}
	root, err := rootfs.Open(g.dir, rootfs.Options{Chown: func(name string, uid, gid int) error {
		g.owners[name] = fmt.Sprintf("%d:%d", uid, gid)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	g.target = provision.Target{Files: root, Run: g.run, BootID: "boot", NoSync: true,
		Now: func() time.Time { return time.Unix(1700000000, 0) },
		Step: func(_ int, s provision.Step, r provision.StepResult) {
			g.outcomes = append(g.outcomes, string(r.Outcome)+" "+s.Action.Summary().Name)
		}}
	return g
}

// put makes a file, or with "->" a symlink, or with a slash at the end of the
// name a directory.
func (g *guest) put(name, text string) {
	g.t.Helper()
	full := filepath.Join(g.dir, name)
	err := os.MkdirAll(filepath.Dir(full), 0o755)
	if err == nil {
		switch target, link := strings.CutPrefix(text, "->"); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(full, 0o755)
		case link:
			err = os.Symlink(target, full)
		default:
			err = os.WriteFile(full, []byte(text), 0o644)
		}
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// run plays the tools of the target.
func (g *guest) run(_ context.Context, name string, args ...string) ([]byte, error) {
	line := filepath.Base(name) + " " + strings.Join(args, " ")
	g.commands = append(g.commands, line)
	last := args[len(args)-1]
	switch {
	case strings.Contains(line, "is-enabled") && !g.enabled[last]:
		return nil, errors.New("disabled")
	case strings.HasPrefix(line, "useradd") && last == "bad":
		return nil, errors.New("useradd: bad name")
	case strings.HasPrefix(line, "useradd"):
		f, _ := os.OpenFile(filepath.Join(g.dir, "etc/passwd"), os.O_APPEND|os.O_WRONLY, 0)
		defer f.Close()
		fmt.Fprintf(f, "%s:x:1001:1001::/home/%s:/bin/sh\n", last, last)
	}
	return nil, nil
}

func (g *guest) apply(text string) error {
	g.t.Helper()
	c, report := provision.Load("c.ign", []byte(text), provision.LoadOptions{})
	if err := report.Err(); err != nil {
		g.t.Fatal(err)
	}
	facts, err := provision.Gather(context.Background(), c, g.target)
	if err != nil {
		g.t.Fatal(err)
	}
	plan, err := c.Plan(facts)
	if err != nil {
		g.t.Fatal(err)
	}
	return provision.Apply(context.Background(), plan, g.target)
}

func (g *guest) mustApply(text string) {
	g.t.Helper()
	if err := g.apply(text); err != nil {
		g.t.Fatal(err)
	}
}

// want compares a file: "mode text", "-> target" or "dir mode".
func (g *guest) want(name, want string) {
	g.t.Helper()
	full := filepath.Join(g.dir, name)
	info, err := os.Lstat(full)
	if err != nil {
		g.t.Error(err)
		return
	}
	perm := fmt.Sprintf("%04o", unixMode(info.Mode()))
	var got string
	switch {
	case info.IsDir():
		got = "dir " + perm
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(full)
		got = "-> " + target
	default:
		data, _ := os.ReadFile(full)
		got = perm + " " + string(data)
	}
	if got != want {
		g.t.Errorf("%s is %q, want %q", name, got, want)
	}
}

func unixMode(m fs.FileMode) uint32 {
	perm := uint32(m.Perm())
	for bit, set := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&set != 0 {
			perm |= bit
		}
	}
	return perm
}

func (g *guest) wantOwner(name, want string) {
	g.t.Helper()
	if got := g.owners[name]; got != want {
		g.t.Errorf("%s belongs to %q, want %q", name, got, want)
	}
}

func storage(text string) string {
	return `{"ignition":{"version":"3.6.0"},"storage":{` + text + `}}`
}

func TestApplyNodes(t *testing.T) {
	g := newGuest(t, map[string]string{"etc/old": "old", "srv": "->/var/srv", "etc/kept": "kept"})
	g.mustApply(storage(`
"directories":[{"path":"/d","mode":1023,"user":{"id":7},"group":{"name":"staff"}}],
"files":[
 {"path":"/d/sub/f","contents":{"source":"data:,x"},"user":{"name":"core"}},
 {"path":"/etc/old","overwrite":true,"mode":2541,"contents":{"source":"data:,new"}},
 {"path":"/etc/kept","append":[{"source":"data:,1"},{"source":"data:,2"}]},
 {"path":"/etc/empty"},
 {"path":"/srv/a","contents":{"source":"data:,srv"}}],
"links":[{"path":"/z","target":"/nowhere","user":{"id":3}},{"path":"/a-hard","target":"/d/sub/f","hard":true}]`))
	g.want("d", "dir 1777")
	g.wantOwner("/d", "7:50")
	g.want("d/sub", "dir 0755")
	g.want("d/sub/f", "0644 x")
	g.wantOwner("/d/sub/f", "500:0")
	g.want("etc/old", "4755 new")
	g.want("etc/kept", "0644 kept12")
	g.want("etc/empty", "0644 ")
	g.want("var/srv/a", "0644 srv")
	g.want("z", "-> /nowhere")
	g.wantOwner("/z", "3:0")
	a, _ := os.Stat(filepath.Join(g.dir, "a-hard"))
	b, _ := os.Stat(filepath.Join(g.dir, "d/sub/f"))
	if !os.SameFile(a, b) {
		t.Error("the hard link is another file")
	}
	g.want("etc/.ignition-result.json", `0600 {
  "provisioningBootID": "boot",
  "provisioningDate": "2023-11-14T22:13:20Z",
  "userConfigProvided": true
}
`)
}

func TestApplyTwiceKeeps(t *testing.T) {
	g := newGuest(t, nil)
	text := storage(`"directories":[{"path":"/d"}],"files":[{"path":"/f","contents":{"source":"data:,x"}}],
"links":[{"path":"/l","target":"f"},{"path":"/h","target":"/f","hard":true}]`)
	uid, gid := os.Getuid(), os.Getgid()
	g.mustApply(text)
	g.outcomes = nil
	if uid != 0 || gid != 0 {
		t.Skip("what an ordinary user makes does not belong to root, so that it cannot be kept")
	}
	g.mustApply(text)
	want := []string{"kept /d", "kept /f", "kept /l", "kept /h", "done /etc/.ignition-result.json"}
	if diff := cmp.Diff(want, g.outcomes); diff != "" {
		t.Error(diff)
	}
}

func TestApplyRefuses(t *testing.T) {
	there := map[string]string{"f": "text", "d/x": "x", "l": "->f", "alias": "->/d"}
	for name, tc := range map[string]struct{ text, want string }{
		"file, other text":    {`"files":[{"path":"/f","contents":{"source":"data:,other"}}]`, "c.ign:1:53: cannot write file /f: there is a file with other contents already; set overwrite to replace it"},
		"file on directory":   {`"files":[{"path":"/d"}]`, "c.ign:1:53: cannot keep or create file /d: there is a directory already; set overwrite to replace it"},
		"file on link":        {`"files":[{"path":"/l","contents":{"source":"data:,text"}}]`, "c.ign:1:53: cannot write file /l: there is a link already; set overwrite to replace it"},
		"append to link":      {`"files":[{"path":"/l","append":[{"source":"data:,x"}]}]`, "c.ign:1:53: cannot keep or create file /l: there is a link already; set overwrite to replace it"},
		"directory on file":   {`"directories":[{"path":"/f"}]`, "c.ign:1:59: cannot make directory /f: there is a file already; set overwrite to replace it"},
		"link on file":        {`"links":[{"path":"/f","target":"x"}]`, "c.ign:1:53: cannot make link /f: there is a file already; set overwrite to replace it"},
		"link on link":        {`"links":[{"path":"/l","target":"x"}]`, "c.ign:1:53: cannot make link /l: there is a link to f already; set overwrite to replace it"},
		"hard link to none":   {`"links":[{"path":"/h","target":"/none","hard":true}]`, "c.ign:1:53: cannot make hard link /h: stat /none: no such file or directory"},
		"hard link to dir":    {`"links":[{"path":"/h","target":"/d","hard":true}]`, "c.ign:1:53: cannot make hard link /h: /d is a directory, and hard links lead to files only"},
		"hard link on file":   {`"links":[{"path":"/f","target":"/d/x","hard":true}]`, "c.ign:1:53: cannot make hard link /f: there is a file already; set overwrite to replace it"},
		"one place, two ways": {`"files":[{"path":"/d/n"},{"path":"/alias/n"}]`, "c.ign:1:69: cannot keep or create file /alias/n: through links it is the same path as /d/n (c.ign:1:53), /d/n"},
		"below a file":        {`"files":[{"path":"/f/x"}]`, "c.ign:1:53: cannot keep or create file /f/x: stat /f/x: not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, there)
			err := g.apply(storage(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			g.want("f", "0644 text")
			if _, err := os.Lstat(filepath.Join(g.dir, "etc/.ignition-result.json")); err == nil {
				t.Error("a failure left a result")
			}
		})
	}
}

func TestApplyOverwrite(t *testing.T) {
	g := newGuest(t, map[string]string{"d/deep/x": "x", "f": "text", "l": "->f", "keep/x": "x", "out": "->keep"})
	g.mustApply(storage(`
"files":[{"path":"/d","overwrite":true,"contents":{"source":"data:,file"}},{"path":"/out","overwrite":true,"contents":{"source":"data:,file"}}],
"directories":[{"path":"/f","overwrite":true}],
"links":[{"path":"/l","target":"new","overwrite":true}]`))
	g.want("d", "0644 file")
	g.want("f", "dir 0755")
	g.want("l", "-> new")
	g.want("out", "0644 file")
	g.want("keep/x", "0644 x")
}

func TestApplyStaysInside(t *testing.T) {
	g := newGuest(t, nil)
	outside := filepath.Join(filepath.Dir(g.dir), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	g.put("a", "->../../../../../../.."+outside)
	g.put("b", "->"+outside)
	g.put("c", "->../outside")
	g.mustApply(storage(`"files":[{"path":"/a/1"},{"path":"/b/2"},{"path":"/c/3"}],
"directories":[{"path":"/c/dir"}],"links":[{"path":"/c/h","target":"/c/3","hard":true}]`))
	left, err := os.ReadDir(outside)
	if err != nil || len(left) > 0 {
		t.Errorf("made outside of the root: %v, %v", left, err)
	}
	g.want("outside/3", "0644 ")
	g.want("outside/h", "0644 ")
	g.want("outside/dir", "dir 0755")
}

func TestApplyUnits(t *testing.T) {
	g := newGuest(t, map[string]string{"etc/systemd/system/m.service": "real", "etc/systemd/system/un.service": "->/dev/null",
		"etc/systemd/system/real.service": "->/usr/x", "etc/systemd/system/w.service": "->/dev/null"})
	g.enabled["on.service"], g.enabled["t@b.service"] = true, true
	text := `{"ignition":{"version":"3.4.0"},"systemd":{"units":[
{"name":"w.service","enabled":true,"contents":"[Install]\n","dropins":[{"name":"a.conf","contents":""}]},
{"name":"m.service","mask":true},{"name":"un.service","mask":false},{"name":"real.service","mask":false},
{"name":"on.service","enabled":false},{"name":"off.service","enabled":false},
{"name":"t@a.service","enabled":false},{"name":"t@b.service","enabled":false},
{"name":"e@2.service","enabled":true},{"name":"e@1.service","enabled":true}]}}`
	g.mustApply(text)
	g.mustApply(text)
	g.want("etc/systemd/system/w.service", "0644 [Install]\n")
	g.want("etc/systemd/system/w.service.d/a.conf", "0644 ")
	g.want("etc/systemd/system/m.service", "-> /dev/null")
	g.want("etc/systemd/system/real.service", "-> /usr/x")
	if _, err := os.Lstat(filepath.Join(g.dir, "etc/systemd/system/un.service")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("still masked", err)
	}
	g.want("etc/systemd/system-preset/20-ignition.preset",
		"0644 enable e@.service 2 1\ndisable on.service\ndisable t@.service b\nenable w.service\n")
	if !strings.Contains(strings.Join(g.commands, "\n"), "systemctl --root=/ disable on.service") {
		t.Error(g.commands)
	}
}

// TestPlanBeforeRoot judges no accounts before there is a file that has any.
func TestPlanBeforeRoot(t *testing.T) {
	g := newGuest(t, nil)
	c, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"passwd":{"groups":[{"name":"core","gid":500}],
"users":[{"name":"core","groups":["none"]}]},"storage":{"files":[{"path":"/f","user":{"name":"nobody"},"group":{"name":"none"}}]}}`), provision.LoadOptions{})
	if report.Err() != nil {
		t.Fatal(report)
	}
	for _, before := range []bool{false, true} {
		if before {
			if err := os.RemoveAll(filepath.Join(g.dir, "etc")); err != nil {
				t.Fatal(err)
			}
		}
		facts, err := provision.Gather(t.Context(), c, g.target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Plan(facts); (err == nil) != before {
			t.Errorf("before the root: %v: %v", before, err)
		}
	}
}

func TestApplyAccounts(t *testing.T) {
	g := newGuest(t, map[string]string{"etc/skel/.bashrc": "rc", "etc/skel/dir/f": "f", "etc/skel/link": "->x"})
	g.mustApply(`{"ignition":{"version":"3.4.0"},"passwd":{
"groups":[{"name":"staff","gid":51},{"name":"new","system":true,"passwordHash":""},{"name":"gone","shouldExist":false}],
"users":[{"name":"core","groups":["new"],"sshAuthorizedKeys":["one","two\n"]},
{"name":"jane","uid":1001,"homeDir":"/srv/jane","passwordHash":"$6$","noUserGroup":true,"shell":"/bin/sh","sshAuthorizedKeys":["three"]},
{"name":"svc","system":true,"noCreateHome":true},{"name":"root","passwordHash":""}]}}`)
	want := []string{
		"groupmod --gid 51 staff",
		"groupadd --password * --system new",
		"usermod --groups new core",
		"useradd --home-dir /srv/jane --create-home --no-user-group --password $6$ --uid 1001 --shell /bin/sh jane",
		"useradd --no-create-home --system --password * svc",
		"usermod --password * root",
	}
	if diff := cmp.Diff(want, g.commands); diff != "" {
		t.Error(diff)
	}
	g.want("home/core", "dir 0755")
	g.wantOwner("/home/core", "500:500")
	g.want("home/core/.bashrc", "0644 rc")
	g.wantOwner("/home/core/dir/f", "500:500")
	g.want("home/core/link", "-> x")
	g.want("home/core/.ssh", "dir 0700")
	g.want("home/core/.ssh/authorized_keys.d", "dir 0700")
	g.want("home/core/.ssh/authorized_keys.d/ignition", "0600 one\ntwo\n")
	g.wantOwner("/home/core/.ssh/authorized_keys.d/ignition", "500:500")
	g.want("home/jane/.ssh/authorized_keys.d/ignition", "0600 three\n")
}

func TestApplyStopsAtFailure(t *testing.T) {
	g := newGuest(t, nil)
	err := g.apply(`{"ignition":{"version":"3.4.0"},"passwd":{"users":[{"name":"bad"}]},"storage":{"files":[{"path":"/f"}]}}`)
	var step *provision.StepError
	if !errors.As(err, &step) || step.Step.At.Column != 52 {
		t.Fatal(err)
	}
	if want := "c.ign:1:52: cannot create user bad: useradd: bad name"; err.Error() != want {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(g.dir, "f")); err == nil {
		t.Error("it went on")
	}
	if diff := cmp.Diff([]string{"failed bad"}, g.outcomes); diff != "" {
		t.Error(diff)
	}
}

func TestSSHKeysDoNotFollowPlantedLinks(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, whose rights are to be laid down")
	}
	g := newGuest(t, map[string]string{"home/core/": "", "home/core/.ssh": "->/etc"})
	if err := os.Chown(filepath.Join(g.dir, "home/core"), 500, 500); err != nil {
		t.Fatal(err)
	}
	root, err := rootfs.Open(g.dir, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	g.target.Files = root
	err = g.apply(`{"ignition":{"version":"3.4.0"},"passwd":{"users":[{"name":"core","sshAuthorizedKeys":["k"]}]}}`)
	if !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

func TestRecord(t *testing.T) {
	g := newGuest(t, map[string]string{"f": "text"})
	c, _ := provision.Load("c.ign", []byte(storage(`"files":[{"path":"/a"},{"path":"/f","contents":{"source":"data:,x"}},{"path":"/z"}]`)), provision.LoadOptions{})
	plan, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	rec := provision.Record{Platform: "qemu", Source: "fw_cfg"}
	rec.Begin(plan)
	g.target.Step = rec.Step
	err = provision.Apply(context.Background(), plan, g.target)
	rec.End(err, 1500*time.Microsecond)
	data, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := provision.DecodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&rec, back); diff != "" {
		t.Error(diff)
	}
	if back.Failure == nil || back.Failure.At.Column != 67 || back.Steps[1].Outcome != provision.Failed || back.Steps[2].Outcome != provision.Pending {
		t.Errorf("%+v", back)
	}
	if !strings.Contains(back.Words(), "Provisioning failed after 2ms.\nc.ign:1:67: cannot write file /f") {
		t.Error(back.Words())
	}
}

// BenchmarkProvision loads, plans and applies 50 files and 50 units.
func BenchmarkProvision(b *testing.B) {
	text := []byte(BigConfig(50, 50))
	for i := range b.N {
		dir := filepath.Join(b.TempDir(), fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		root, err := rootfs.Open(dir, rootfs.Options{Chown: func(string, int, int) error { return nil }})
		if err != nil {
			b.Fatal(err)
		}
		c, _ := provision.Load("c.ign", text, provision.LoadOptions{})
		plan, err := c.Plan(provision.DefaultFacts())
		if err == nil {
			err = provision.Apply(context.Background(), plan, provision.Target{Files: root, NoSync: true})
		}
		if err != nil {
			b.Fatal(err)
		}
		root.Close()
	}
}

// BigConfig is Ignition JSON with so many files of 1 KiB and units.
func BigConfig(files, units int) string {
	var f, u []string
	for i := range files {
		f = append(f, fmt.Sprintf(`{"path":"/etc/app/dir%d/file%d.conf","mode":420,"contents":{"source":"data:,%s"}}`, i%10, i, strings.Repeat("x", 1024)))
	}
	for i := range units {
		u = append(u, fmt.Sprintf(`{"name":"app%d.service","enabled":true,"contents":"[Unit]\nDescription=App %d\n[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n"}`, i, i))
	}
	return `{"ignition":{"version":"3.4.0"},"storage":{"files":[` + strings.Join(f, ",\n") + `]},"systemd":{"units":[` + strings.Join(u, ",\n") + `]}}`
}

func TestApplyFetches(t *testing.T) {
	const sha = "sha256-2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of x
	text := storage(`"files":[
{"path":"/d/new","contents":{"source":"http://h/x","verification":{"hash":"` + sha + `"}}},
{"path":"/dir","overwrite":true,"contents":{"source":"http://h/x"}},
{"path":"/log","append":[{"source":"http://h/x"},{"source":"data:,y"}]}]`)
	g := newGuest(t, map[string]string{"dir/full": "1", "log": "0"})
	w := newWeb(map[string]string{"http://h/x": "x"})
	g.target.Fetch = w
	g.mustApply(text)
	g.want("d/new", "0644 x")
	g.want("dir", "0644 x")
	g.want("log", "0644 0xy")
}

func TestApplyFetchKeepsEqual(t *testing.T) {
	g := newGuest(t, map[string]string{"same": "x", "other": "y"})
	g.target.Fetch = newWeb(map[string]string{"http://h/x": "x"})
	g.mustApply(storage(`"files":[{"path":"/same","contents":{"source":"http://h/x"}}]`))
	err := g.apply(storage(`"files":[{"path":"/other","contents":{"source":"http://h/x"}}]`))
	if err == nil || !strings.Contains(err.Error(), "other contents already") {
		t.Error(err)
	}
}

func TestApplyFailedFetchLeavesNothing(t *testing.T) {
	hash := `"verification":{"hash":"sha256-` + strings.Repeat("0", 64) + `"}`
	for name, tc := range map[string]struct{ file, want string }{
		"cut, new":     {`{"path":"/d/x","contents":{` + "\n" + `"source":"http://h/cut"}}`, "c.ign:2:10: cannot write file /d/x: fetching http://h/cut: the connection broke"},
		"cut, old":     {`{"path":"/old","overwrite":true,"contents":{"source":"http://h/cut"}}`, "c.ign:1:106: cannot write file /old: fetching http://h/cut: the connection broke"},
		"cut, append":  {`{"path":"/old","append":[{"source":"http://h/cut"}]}`, "c.ign:1:88: cannot append to file /old: fetching http://h/cut: the connection broke"},
		"cut, compare": {`{"path":"/old","contents":{"source":"http://h/cut"}}`, "c.ign:1:89: cannot write file /old: fetching http://h/cut: the connection broke"},
		"wrong hash":   {`{"path":"/d/x","contents":{"source":"http://h/x",` + "\n" + hash + `}}`, "c.ign:2:24: cannot write file /d/x: fetching http://h/x: the content has another sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
		"missing":      {`{"path":"/d/x","contents":{"source":"http://h/none"}}`, "c.ign:1:89: cannot write file /d/x: fetching http://h/none: not found"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, map[string]string{"old": "old", "d/": ""})
			g.target.Fetch = newWeb(map[string]string{"http://h/x": "x", "http://h/cut": "half..."})
			if diff := cmp.Diff(tc.want, fmt.Sprint(g.apply(storage(`"files":[`+tc.file+`]`)))); diff != "" {
				t.Error(diff)
			}
			g.want("old", "0644 old")
			left, _ := filepath.Glob(filepath.Join(g.dir, "*", ".*"))
			more, _ := filepath.Glob(filepath.Join(g.dir, "d", "*"))
			if len(left)+len(more) > 0 {
				t.Errorf("left behind: %q %q", left, more)
			}
		})
	}
	g := newGuest(t, nil)
	err := g.apply(storage(`"files":[{"path":"/x","contents":{"source":"http://h/x"}}]`))
	if !errors.Is(err, provision.ErrNeedsNetwork) {
		t.Error(err)
	}
}
