package daytwo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"sort"
	"strings"

	"wellcar.dev/internal/provision"
)

const (
	unitDir    = "/etc/systemd/system"
	presetFile = "/etc/systemd/system-preset/20-ignition.preset"
)

// Kind is what there is at a path.
type Kind string

// The kinds. Missing is nothing at all.
const (
	Missing   Kind = ""
	File      Kind = "file"
	Directory Kind = "directory"
	Symlink   Kind = "link"
	HardLink  Kind = "hard link" // only in a config
	Special   Kind = "special file"
)

// Item is a path that a config says something of.
type Item struct {
	What    string // file, directory, link, hard link, unit, drop-in, SSH keys, presets
	Name    string // for people
	Path    string
	Kind    Kind
	Content *provision.Content // of a file; nil: whatever is there
	Sum     string             // sha256 of the content in hex; "": not known
	Appends bool               // the content goes on with what was there
	Mode    *int               // nil: not said
	User    provision.Owner
	Group   provision.Owner
	Target  string // of a link
	Unit    string // that the file belongs to
	Replace bool   // overwrite

	step provision.Step
	At   provision.Position
}

// State is what a config wants of a machine.
type State struct {
	Items  map[string]Item // by path
	Units  map[string]bool // enabled or not, by name, instances spelled out
	UnitAt map[string]provision.Position
	Users  map[string]Wanted
	Groups map[string]Wanted
	Steps  []provision.Step // of other stages: disks, kernel arguments
}

// Wanted is an account step and all that it says, for comparison.
type Wanted struct {
	Step provision.Step
	Text string
}

// StateOf reads the state out of a plan that was made for a machine without
// the config's accounts (provision.DefaultFacts). The accounts are those of
// the machine as it is.
func StateOf(p provision.Plan, accounts map[string]provision.Account) State {
	s := State{Items: map[string]Item{}, Units: map[string]bool{}, UnitAt: map[string]provision.Position{},
		Users: map[string]Wanted{}, Groups: map[string]Wanted{}}
	var presets []string
	for _, step := range p.Steps {
		if line := s.unit(step); line != "" {
			presets = append(presets, line)
			continue
		}
		if s.account(step) || s.node(step, accounts) {
			continue
		}
		if step.Stage != provision.StageFiles && step.Stage != provision.StageFetch {
			s.Steps = append(s.Steps, step)
		}
	}
	if len(presets) > 0 {
		content := provision.NewContent([]byte(strings.Join(presets, "")))
		s.Items[presetFile] = Item{What: "presets", Name: presetFile, Path: presetFile, Kind: File, Content: content, Sum: content.SHA256()}
	}
	return s
}

func (s *State) unit(step provision.Step) string {
	verb, unit, instances := "", "", []string(nil)
	switch a := step.Action.(type) {
	case *provision.EnablePreset:
		verb, unit, instances = "enable", a.Unit, a.Instances
	case *provision.DisablePreset:
		verb, unit, instances = "disable", a.Unit, a.Instances
	default:
		return ""
	}
	names := []string{unit}
	if len(instances) > 0 {
		names = nil
		for _, i := range instances {
			names = append(names, strings.Replace(unit, "@.", "@"+i+".", 1))
		}
	}
	for _, n := range names {
		s.Units[n], s.UnitAt[n] = verb == "enable", step.At
	}
	return strings.Join(append([]string{verb, unit}, instances...), " ") + "\n"
}

func (s *State) account(step provision.Step) bool {
	switch a := step.Action.(type) {
	case *provision.CreateUser:
		s.Users[a.Name] = wantedUser(step, a.User)
	case *provision.ModifyUser:
		s.Users[a.Name] = wantedUser(step, a.User)
	case *provision.CreateGroup:
		s.Groups[a.Name] = wantedGroup(step, a.Group)
	case *provision.ModifyGroup:
		s.Groups[a.Name] = wantedGroup(step, a.Group)
	case *provision.RemoveUser, *provision.RemoveGroup:
		// that it is not there is what the machine has already
	default:
		return false
	}
	return true
}

// wantedUser compares by all fields; the hash is part of them.
func wantedUser(step provision.Step, u provision.User) Wanted {
	text, _ := json.Marshal(u)
	return Wanted{step, string(text) + hashText(u.PasswordHash)}
}

func wantedGroup(step provision.Step, g provision.Group) Wanted {
	text, _ := json.Marshal(g)
	return Wanted{step, string(text) + hashText(g.PasswordHash)}
}

func hashText(hash *string) string {
	if hash == nil {
		return ""
	}
	return " password " + *hash
}

func (s *State) node(step provision.Step, accounts map[string]provision.Account) bool {
	switch a := step.Action.(type) {
	case *provision.WriteFile:
		i := withContent(nodeItem("file", File, a.Node, step), a.Content)
		if a.Content != nil {
			i.asMade(0o644)
		}
		s.put(i)
	case *provision.AppendFile:
		s.append(a, step)
	case *provision.MakeDirectory:
		s.put(nodeItem("directory", Directory, a.Node, step))
	case *provision.Link:
		i := nodeItem("link", Symlink, a.Node, step)
		i.Target = a.Target
		s.put(i)
	case *provision.HardLink:
		i := nodeItem("hard link", HardLink, a.Node, step)
		i.Target = a.Target
		s.put(i)
	case *provision.WriteUnit:
		s.put(s.unitItem("unit", a.Unit, a.Unit, path.Join(unitDir, a.Unit), a.Content, step))
	case *provision.WriteDropin:
		s.put(s.unitItem("drop-in", a.Unit+".d/"+a.Name, a.Unit, path.Join(unitDir, a.Unit+".d", a.Name), a.Content, step))
	case *provision.Mask:
		name := path.Join(unitDir, a.Unit)
		s.put(Item{What: "mask of unit", Name: a.Unit, Path: name, Kind: Symlink, Target: "/dev/null", Unit: a.Unit, Replace: true, At: step.At})
	case *provision.SSHKeys:
		s.put(keysItem(a, step, s.home(a.User, accounts)))
	case *provision.Unmask, *provision.WriteResult:
	default:
		return false
	}
	return true
}

// home is where a user's home directory is or will be.
func (s *State) home(user string, accounts map[string]provision.Account) string {
	if a, ok := accounts[user]; ok && a.Home != "" {
		return a.Home
	}
	if a, ok := s.Users[user].Step.Action.(*provision.CreateUser); ok && a.Home != "" {
		return a.Home
	}
	if user == "root" {
		return "/root"
	}
	return "/home/" + user
}

func (s *State) put(i Item) { s.Items[i.Path] = i }

func nodeItem(what string, kind Kind, n provision.Node, step provision.Step) Item {
	return Item{What: what, Name: n.Path, Path: path.Clean(n.Path), Kind: kind, Mode: n.Mode, User: n.User, Group: n.Group, Replace: n.Overwrite, At: step.At}
}

// asMade fills in what a new file has if the config does not say.
func (i *Item) asMade(mode int) {
	root := 0
	if i.Mode == nil {
		i.Mode = &mode
	}
	for _, o := range []*provision.Owner{&i.User, &i.Group} {
		if *o == (provision.Owner{}) {
			o.ID = &root
		}
	}
}

func withContent(i Item, c *provision.Content) Item {
	if c != nil {
		i.Content, i.Sum = c, c.SHA256()
	}
	return i
}

func (s *State) unitItem(what, name, unit, file string, c *provision.Content, step provision.Step) Item {
	mode := 0o644
	i := withContent(Item{What: what, Name: name, Path: file, Kind: File, Unit: unit, Replace: true, At: step.At}, c)
	i.asMade(mode)
	return i
}

// append adds to the file of the config, or to whatever is there.
func (s *State) append(a *provision.AppendFile, step provision.Step) {
	name := path.Clean(a.Path)
	i, ok := s.Items[name]
	if !ok {
		i = Item{What: "file", Name: a.Path, Path: name, Kind: File, At: step.At}
	}
	if _, remote := a.Content.Remote(); remote || i.Content == nil || i.Sum == "" || i.Appends {
		i.Appends, i.Sum = true, ""
		s.put(i)
		return
	}
	if _, remote := i.Content.Remote(); remote {
		i.Appends, i.Sum = true, ""
		s.put(i)
		return
	}
	s.put(withContent(i, provision.NewContent(append(append([]byte(nil), i.Content.Bytes()...), a.Content.Bytes()...))))
}

func keysItem(a *provision.SSHKeys, step provision.Step, home string) Item {
	text := strings.TrimRight(strings.Join(a.Keys, "\n"), "\n") + "\n"
	mode, owner := 0o600, provision.Owner{Name: a.User}
	file := path.Join(home, keysFile)
	return withContent(Item{What: "SSH keys of", Name: a.User, Path: file, Kind: File, Mode: &mode, User: owner, Replace: true, At: step.At, step: step},
		provision.NewContent([]byte(text)))
}

// paths are those of all states, sorted.
func paths(states ...State) []string {
	all := map[string]bool{}
	for _, s := range states {
		for p := range s.Items {
			all[p] = true
		}
	}
	out := make([]string, 0, len(all))
	for p := range all {
		out = append(out, p)
	}
	sort.Strings(out)
	return out
}

// sum is the digest of bytes, as Item has it.
func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
