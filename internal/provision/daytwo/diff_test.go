package daytwo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/provision"
)

// state is what a config wants.
func state(t *testing.T, body string) State {
	t.Helper()
	c, report := provision.Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"}`+body+`}`), provision.LoadOptions{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(provision.DefaultFacts())
	if err != nil {
		t.Fatal(err)
	}
	return StateOf(p, nil)
}

// made are the facts of a machine that is as a state wants it.
func made(s State) Facts {
	f := Facts{Nodes: map[string]Node{}, Shipped: map[string]bool{}, Units: map[string]UnitState{}, Groups: map[string]int{"core": 500},
		Users: map[string]provision.Account{"root": {Name: "root"}, "core": {Name: "core", UID: 500, GID: 500}}}
	for p, i := range s.Items {
		n := Node{Kind: i.Kind, Perm: 0o644, Sum: i.Sum, Target: i.Target}
		if i.Kind == Directory {
			n.Perm = 0o755
		}
		if i.Mode != nil {
			n.Perm = uint32(*i.Mode)
		}
		if i.User.Name == "core" {
			n.UID = 500
		}
		if i.Kind == HardLink {
			n.Kind, n.Target = File, ""
		}
		f.Nodes[p] = n
	}
	for u, on := range s.Units {
		f.Units[u] = UnitState{Enabled: map[bool]string{true: "enabled", false: "disabled"}[on], Active: on}
	}
	for name := range s.Users {
		if _, ok := f.Users[name]; !ok {
			f.Users[name] = provision.Account{Name: name, UID: 1000, GID: 1000, Home: "/home/" + name, Shell: "/bin/bash"}
		}
	}
	for name := range s.Groups {
		f.Groups[name] = 1000
	}
	return f
}

const (
	fileA  = `{"path":"/etc/a","contents":{"source":"data:,a"}}`
	fileA2 = `{"path":"/etc/a","contents":{"source":"data:,aa"}}`
	fileB  = `{"path":"/etc/b","mode":384,"contents":{"source":"data:,b"}}`
	unitU  = `{"name":"u.service","enabled":true,"contents":"[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}`
	unitU2 = `{"name":"u.service","enabled":true,"contents":"[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"}`
)

func storage(kind string, entries ...string) string {
	return `,"storage":{"` + kind + `":[` + strings.Join(entries, ",") + `]}`
}

func units(entries ...string) string {
	return `,"systemd":{"units":[` + strings.Join(entries, ",") + `]}`
}

func users(entries ...string) string {
	return `,"passwd":{"users":[` + strings.Join(entries, ",") + `]}`
}

func groups(entries ...string) string {
	return `,"passwd":{"groups":[` + strings.Join(entries, ",") + `]}`
}

// login has an account with a hash and groups.
func login(name, hash string, in ...string) func(*Facts) {
	return func(f *Facts) {
		f.Logins = map[string]Login{name: {Hash: &hash, Groups: in}}
		f.Image = map[string]Login{"core": {Groups: []string{"wheel", "sudo"}}}
	}
}

func shell(name, program string) func(*Facts) {
	return func(f *Facts) {
		a := f.Users[name]
		a.Shell = program
		f.Users[name] = a
	}
}

func TestDiff(t *testing.T) {
	by := func(path string, edit func(*Node)) func(*Facts) {
		return func(f *Facts) {
			n := f.Nodes[path]
			edit(&n)
			f.Nodes[path] = n
		}
	}
	human := by("/etc/a", func(n *Node) { n.Sum = "x" })
	gone := by("/etc/a", func(n *Node) { *n = Node{} })
	for name, c := range map[string]struct {
		old, new string
		change   func(*Facts)
		want     []string
	}{
		"nothing":           {storage("files", fileA), storage("files", fileA), nil, nil},
		"added":             {storage("files", fileA), storage("files", fileA, fileB), nil, []string{"add file /etc/b (1 byte, sha256 3e23e816)"}},
		"changed":           {storage("files", fileA), storage("files", fileA2), nil, []string{"change file /etc/a (content)"}},
		"removed":           {storage("files", fileA, fileB), storage("files", fileB), nil, []string{"remove file /etc/a"}},
		"removed, shipped":  {storage("files", fileA), "", func(f *Facts) { f.Shipped["/etc/a"] = true }, []string{"remove file /etc/a (the image's own comes back)"}},
		"removed, is gone":  {storage("files", fileA), "", gone, nil},
		"mode":              {storage("files", fileA), storage("files", strings.Replace(fileA, `"path"`, `"mode":448,"path"`, 1)), nil, []string{"change file /etc/a (mode 0644 instead of 0700)"}},
		"owner":             {storage("files", fileA), storage("files", strings.Replace(fileA, `"path"`, `"user":{"name":"core"},"path"`, 1)), nil, []string{"change file /etc/a (owner 0 instead of 500)"}},
		"by hand, same":     {storage("files", fileA), storage("files", fileA), human, []string{"kept: keep file /etc/a (changed by hand: content)"}},
		"by hand, changed":  {storage("files", fileA), storage("files", fileA2), human, []string{"change file /etc/a (content); CONFLICT: changed by hand since: content"}},
		"by hand, removed":  {storage("files", fileA), "", human, []string{"remove file /etc/a; CONFLICT: changed by hand since: content"}},
		"by hand, gone":     {storage("files", fileA), storage("files", fileA2), gone, []string{"change file /etc/a (missing); CONFLICT: changed by hand since: missing"}},
		"by hand, as new":   {storage("files", fileA), storage("files", fileA2), by("/etc/a", func(n *Node) { n.Sum = sum([]byte("aa")) }), nil},
		"stranger":          {"", storage("files", fileA), human, []string{"change file /etc/a (content); CONFLICT: there is a file already that no config made"}},
		"stranger, over":    {"", storage("files", strings.Replace(fileA, `"path"`, `"overwrite":true,"path"`, 1)), human, []string{"change file /etc/a (content)"}},
		"dir in the way":    {"", storage("files", fileA), by("/etc/a", func(n *Node) { n.Kind = Directory }), []string{"change file /etc/a (a directory); CONFLICT: there is a directory already that no config made; needs a wipe"}},
		"link":              {storage("links", `{"path":"/l","target":"/a"}`), storage("links", `{"path":"/l","target":"/b"}`), nil, []string{"change link /l (leads to /a)"}},
		"directory":         {"", storage("directories", `{"path":"/d"}`), by("/d", func(n *Node) { *n = Node{} }), []string{"add directory /d"}},
		"directory, there":  {"", storage("directories", `{"path":"/d"}`), nil, nil},
		"unit added":        {"", units(unitU), func(f *Facts) { f.Nodes = map[string]Node{}; f.Units = map[string]UnitState{} }, []string{"add presets /etc/systemd/system-preset/20-ignition.preset (17 bytes, sha256 bcfb103a)", "add unit u.service (67 bytes, sha256 673338b2)", "change unit u.service (enable and start)"}},
		"unit changed":      {units(unitU), units(unitU2), nil, []string{"change unit u.service (content)", "restart u.service"}},
		"unit removed":      {units(unitU), "", nil, []string{"remove presets /etc/systemd/system-preset/20-ignition.preset", "remove unit u.service", "change unit u.service (disable and stop)"}},
		"unit by hand":      {units(unitU), units(unitU), func(f *Facts) { f.Units["u.service"] = UnitState{Enabled: "disabled"} }, []string{"kept: keep unit u.service (by hand it is disabled)"}},
		"mask":              {"", units(`{"name":"x.service","mask":true}`), by("/etc/systemd/system/x.service", func(n *Node) { *n = Node{} }), []string{"add mask of unit x.service (to /dev/null)"}},
		"user added":        {"", users(`{"name":"bob"}`), func(f *Facts) { delete(f.Users, "bob") }, []string{"add user bob"}},
		"user changed":      {users(`{"name":"bob"}`), users(`{"name":"bob","shell":"/bin/sh"}`), nil, []string{"change user bob (shell /bin/sh)"}},
		"password changed":  {users(`{"name":"bob","passwordHash":"a"}`), users(`{"name":"bob","passwordHash":"b"}`), nil, []string{"change user bob (password)"}},
		"user removed":      {users(`{"name":"bob"}`), "", nil, []string{"remove user bob (the home directory stays)"}},
		"password dropped":  {users(`{"name":"core","passwordHash":"a"}`), "", login("core", "a"), []string{"change user core (password locked)"}},
		"password by hand":  {users(`{"name":"core","passwordHash":"a"}`), users(`{"name":"core"}`), login("core", "b"), []string{"change user core (password locked); CONFLICT: changed by hand since: password"}},
		"password empty":    {"", users(`{"name":"core","passwordHash":"a"}`), login("core", ""), []string{"change user core (password); CONFLICT: changed by hand since: password"}},
		"password locked":   {users(`{"name":"core","passwordHash":"a"}`), users(`{"name":"core"}`), login("core", "!a"), nil},
		"groups dropped":    {users(`{"name":"bob","groups":["docker","wheel"]}`), users(`{"name":"bob","groups":["wheel"]}`), login("bob", "*", "docker", "wheel", "mine"), []string{"change user bob (out of docker)"}},
		"groups of core":    {users(`{"name":"core","groups":["kvm","wheel"]}`), "", login("core", "*", "kvm", "wheel", "mine"), []string{"change user core (into sudo, out of kvm)"}},
		"groups by hand":    {users(`{"name":"bob","groups":["docker"]}`), users(`{"name":"bob"}`), login("bob", "*", "mine"), nil},
		"chsh stays":        {users(`{"name":"bob"}`), users(`{"name":"bob","groups":["wheel"]}`), shell("bob", "/bin/zsh"), []string{"change user bob (into wheel)"}},
		"chsh in the way":   {users(`{"name":"bob"}`), users(`{"name":"bob","shell":"/bin/sh"}`), shell("bob", "/bin/zsh"), []string{"change user bob (shell /bin/sh); CONFLICT: changed by hand since: shell"}},
		"chsh as new":       {users(`{"name":"bob"}`), users(`{"name":"bob","shell":"/bin/zsh"}`), shell("bob", "/bin/zsh"), nil},
		"user by hand":      {"", users(`{"name":"bob","shell":"/bin/sh"}`), nil, []string{"change user bob (shell /bin/sh); CONFLICT: there is a user already that no config made"}},
		"group's password":  {groups(`{"name":"g","passwordHash":"a"}`), groups(`{"name":"g"}`), nil, []string{"change group g (password locked)"}},
		"core stays":        {users(`{"name":"core","groups":["wheel"]}`), "", nil, nil},
		"keys":              {users(`{"name":"core","sshAuthorizedKeys":["k1"]}`), users(`{"name":"core","sshAuthorizedKeys":["k1","k2"]}`), nil, []string{"change SSH keys of core (content)"}},
		"append, new":       {"", storage("files", `{"path":"/x","append":[{"source":"data:,a"}]}`), by("/x", func(n *Node) { *n = Node{Kind: File} }), nil},
		"instances":         {units(`{"name":"e@a.service","enabled":true}`), units(`{"name":"e@a.service","enabled":true},{"name":"e@b.service","enabled":true}`), func(f *Facts) { delete(f.Units, "e@b.service") }, []string{"change presets /etc/systemd/system-preset/20-ignition.preset (content)", "change unit e@b.service (enable and start)"}},
		"hard link":         {"", storage("links", `{"path":"/h","target":"/a","hard":true}`), by("/h", func(n *Node) { *n = Node{} }), []string{"add hard link /h (to /a)"}},
		"fetched, same":     {storage("files", `{"path":"/f","contents":{"source":"https://x/1"}}`), storage("files", `{"path":"/f","contents":{"source":"https://x/1"}}`), nil, nil},
		"fetched, changed":  {storage("files", `{"path":"/f","contents":{"source":"https://x/1"}}`), storage("files", `{"path":"/f","contents":{"source":"https://x/2"}}`), nil, []string{"change file /f (content)"}},
		"words added":       {"", words("a", ""), nil, []string{"change kernel arguments a; needs a reboot"}},
		"words the same":    {words("a", "b"), words("a", "b"), nil, nil},
		"words removed":     {words("a|b", ""), words("b", ""), nil, []string{"change kernel arguments without a; needs a reboot"}},
		"words all removed": {words("a", "b"), "", nil, []string{"change kernel arguments without a; needs a reboot"}},
		"words exchanged":   {words("a", ""), words("b", "a"), nil, []string{"change kernel arguments b, without a; needs a reboot"}},
		"words joined":      {words("a", ""), words("a b", ""), nil, []string{"change kernel arguments a b; needs a reboot"}},
		"disks":             {"", `,"storage":{"disks":[{"device":"/dev/vdb","wipeTable":true}]}`, nil, []string{"add partition disk /dev/vdb (new table); needs a first boot"}},
		"disks, the same":   {`,"storage":{"disks":[{"device":"/dev/vdb","wipeTable":true}]}`, `,"storage":{"disks":[{"device":"/dev/vdb","wipeTable":true}]}`, nil, nil},
		"two by hand, mode": {storage("files", fileA), storage("files", fileA), by("/etc/a", func(n *Node) { n.Perm, n.UID = 0o600, 7 }), []string{"kept: keep file /etc/a (changed by hand: mode 0600 instead of 0644, owner 7 instead of 0)"}},
	} {
		t.Run(name, func(t *testing.T) {
			old, new := state(t, c.old), state(t, c.new)
			f := made(old)
			if c.old == "" {
				f = made(new)
			}
			for p := range new.Items {
				if _, ok := f.Nodes[p]; !ok {
					f.Nodes[p] = Node{}
				}
			}
			if c.change != nil {
				c.change(&f)
			}
			p := Diff(old, new, f)
			var got []string
			for _, ch := range p.Changes {
				got = append(got, ch.String())
			}
			for _, ch := range p.Kept {
				got = append(got, "kept: "+ch.String())
			}
			for _, u := range p.restart {
				got = append(got, "restart "+u)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// words asks for kernel arguments, and for none of others.
func words(add, remove string) string {
	list := func(s string) string {
		if s == "" {
			return "[]"
		}
		return `["` + strings.ReplaceAll(s, "|", `","`) + `"]`
	}
	return `,"kernelArguments":{"shouldExist":` + list(add) + `,"shouldNotExist":` + list(remove) + `}`
}

func TestInverse(t *testing.T) {
	for _, c := range []struct{ words, add, remove, wantAdd, wantRemove string }{
		{"", "a", "", "", "a"},
		{"a", "a", "", "", ""},
		{"a", "b", "a", "a", "b"},
		{"a c", "a b", "", "", "a b"},
		{"", "", "a", "", ""},
	} {
		got := inverse(provision.KernelArguments{Add: list(c.add), Remove: list(c.remove)}, c.words)
		if strings.Join(got.Add, "|") != c.wantAdd || strings.Join(got.Remove, "|") != c.wantRemove {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func list(item string) []string {
	if item == "" {
		return nil
	}
	return []string{item}
}

func TestRefuse(t *testing.T) {
	p := Plan{Changes: []Change{
		{Op: Alter, What: "file", Name: "/a", Conflict: "changed by hand since: content", At: provision.Position{File: "c", Line: 3}},
		{Op: Add, What: "directory", Name: "/x", Need: NeedWipe},
		{Op: Add, What: "argument", Name: "y", Need: NeedReboot},
	}}
	disks := Plan{Changes: []Change{{Op: Add, What: "partition disk", Name: "z", Need: NeedFirstBoot}}}
	for _, c := range []struct {
		allow Allow
		want  string
	}{
		{Allow{}, "c:3: file /a: changed by hand since: content; give --force to replace it, or take the change into the config (and 2 more)"},
		{Allow{Force: true}, "directory /x: this can destroy data; give --allow-wipe (and 1 more)"},
		{Allow{Force: true, Wipe: true}, "argument y: this needs a reboot; give --allow-reboot, and the machine restarts at once"},
		{Allow{Force: true, Reboot: true, Wipe: true, Try: true}, "directory /x: this can destroy data, and then nothing could undo it; give --allow-wipe without --try"},
		{Allow{Force: true, Reboot: true, Wipe: true}, "<nil>"},
	} {
		if got := fmt.Sprint(p.Refuse(c.allow)); got != c.want {
			t.Errorf("%+v: %s", c.allow, got)
		}
	}
	const want = "partition disk z: only a first boot changes disks; leave them as they are in the config that was applied, or provision the machine anew (flatcar-reset)"
	if got := fmt.Sprint(disks.Refuse(Allow{Force: true, Reboot: true, Wipe: true})); got != want {
		t.Error(got)
	}
}

func TestPresetsOfFirstBoot(t *testing.T) {
	const want = "enable a\ndisable b\ndisable c@.service 1 2\nenable d\n"
	for now, made := range map[string]bool{
		want: true, "enable a\nenable d\n": true, "enable a\ndisable b\nenable d\n": true, "enable a\ndisable c@.service 2\nenable d\n": true,
		"enable a\n": false, "": false, "disable b\nenable d\n": false, "enable a\ndisable x\nenable d\n": false,
		"enable a\ndisable c@.service 3\nenable d\n": false, "enable a\nenable b\nenable d\n": false, want + "enable e\n": false,
	} {
		if presetsMade(want, now) != made {
			t.Errorf("%q: %v", now, !made)
		}
	}
}

func TestDrift(t *testing.T) {
	s := state(t, storage("files", fileA, fileB)+units(unitU)+users(`{"name":"bob","uid":1000,"shell":"/bin/bash"}`)+
		`,"kernelArguments":{"shouldExist":["a","b=1","b=2"],"shouldNotExist":["nosmt","panic=60"]}`)
	f := made(s)
	if d := Drift(s, f); len(d) > 0 {
		t.Errorf("an untouched machine: %v", d)
	}
	f.Nodes["/etc/a"] = Node{Kind: File, Sum: "x", Perm: 0o644}
	f.Nodes["/etc/b"] = Node{}
	f.Kernel = &Line{"panic=60 a", "nosmt b=1"}
	f.Units["u.service"] = UnitState{Enabled: "masked"}
	bob := f.Users["bob"]
	bob.Shell = "/bin/zsh"
	f.Users["bob"] = bob
	var got []string
	for _, d := range Drift(s, f) {
		got = append(got, d.String())
	}
	want := []string{"user bob: shell /bin/zsh instead of /bin/bash", "file /etc/a: content", "file /etc/b: missing", "unit u.service: masked instead of enabled",
		"kernel argument b=2: missing", "kernel argument nosmt: is there"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
