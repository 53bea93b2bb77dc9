package provision

import (
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// CreateGroup makes a group with groupadd.
type CreateGroup struct{ Group }

// ModifyGroup changes a group with groupmod.
type ModifyGroup struct{ Group }

// RemoveGroup deletes a group with groupdel.
type RemoveGroup struct {
	Name string `json:"name"`
}

// Group is what a config says of a group.
type Group struct {
	Name         string  `json:"name"`
	GID          *int    `json:"gid,omitempty"`
	PasswordHash *string `json:"-"`
	System       bool    `json:"system,omitempty"`
}

// CreateUser makes a user with useradd.
type CreateUser struct{ User }

// ModifyUser changes a user with usermod. Groups replace the supplementary
// groups.
type ModifyUser struct{ User }

// RemoveUser deletes a user and the home directory with userdel.
type RemoveUser struct {
	Name string `json:"name"`
}

// User is what a config says of a user.
type User struct {
	Name         string   `json:"name"`
	UID          *int     `json:"uid,omitempty"`
	Gecos        string   `json:"gecos,omitempty"`
	Home         string   `json:"home,omitempty"`
	Shell        string   `json:"shell,omitempty"`
	PrimaryGroup string   `json:"primaryGroup,omitempty"`
	Groups       []string `json:"groups,omitempty"`
	PasswordHash *string  `json:"-"` // nil leaves it; empty locks it
	NoCreateHome bool     `json:"noCreateHome,omitempty"`
	NoUserGroup  bool     `json:"noUserGroup,omitempty"`
	NoLogInit    bool     `json:"noLogInit,omitempty"`
	System       bool     `json:"system,omitempty"`
}

// SSHKeys writes a user's keys to ~/.ssh/authorized_keys.d/ignition, replacing
// that file, and makes the home directory if there is none.
type SSHKeys struct {
	User string   `json:"user"`
	Keys []string `json:"keys"`

	file string
}

// File is the file that Apply wrote.
func (a *SSHKeys) File() string { return a.file }

// Kind implements Action.
func (*CreateGroup) Kind() string { return "createGroup" }

// Kind implements Action.
func (*ModifyGroup) Kind() string { return "modifyGroup" }

// Kind implements Action.
func (*RemoveGroup) Kind() string { return "removeGroup" }

// Kind implements Action.
func (*CreateUser) Kind() string { return "createUser" }

// Kind implements Action.
func (*ModifyUser) Kind() string { return "modifyUser" }

// Kind implements Action.
func (*RemoveUser) Kind() string { return "removeUser" }

// Kind implements Action.
func (*SSHKeys) Kind() string { return "sshKeys" }

// Summary implements Action.
func (a *CreateGroup) Summary() Summary {
	return Summary{"create", "created", "group", a.Name, a.detail()}
}

// Summary implements Action.
func (a *ModifyGroup) Summary() Summary {
	return Summary{"change", "changed", "group", a.Name, a.detail()}
}

// Summary implements Action.
func (a *RemoveGroup) Summary() Summary { return Summary{"remove", "removed", "group", a.Name, ""} }

// Summary implements Action.
func (a *CreateUser) Summary() Summary {
	return Summary{"create", "created", "user", a.Name, a.detail()}
}

// Summary implements Action.
func (a *ModifyUser) Summary() Summary {
	return Summary{"change", "changed", "user", a.Name, a.detail()}
}

// Summary implements Action.
func (a *RemoveUser) Summary() Summary {
	return Summary{"remove", "removed", "user", a.Name, "with the home directory"}
}

// Summary implements Action.
func (a *SSHKeys) Summary() Summary {
	n := "1 key"
	if len(a.Keys) != 1 {
		n = strconv.Itoa(len(a.Keys)) + " keys"
	}
	return Summary{"write", "wrote", "SSH keys of", a.User, n}
}

func (g Group) detail() string {
	return join(number("gid", g.GID), password(g.PasswordHash), flag(g.System, "system"))
}

func (u User) detail() string {
	return join(number("uid", u.UID), word("primary group", u.PrimaryGroup), word("groups", strings.Join(u.Groups, " ")),
		word("home", u.Home), flag(u.NoCreateHome, "no home"), word("shell", u.Shell), password(u.PasswordHash), flag(u.System, "system"))
}

func number(name string, n *int) string {
	if n == nil {
		return ""
	}
	return name + " " + strconv.Itoa(*n)
}

func word(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

func flag(set bool, name string) string {
	if !set {
		return ""
	}
	return name
}

func password(hash *string) string {
	switch {
	case hash == nil:
		return ""
	case *hash == "" || *hash == "*":
		return "no password"
	}
	return "password"
}

// accounts plans groups, then users with their keys, in the config's order.
func (b *builder) accounts() {
	for i, g := range b.Ignition.Passwd.Groups {
		b.group(Path{"passwd", "groups", i}, g)
	}
	for i, u := range b.Ignition.Passwd.Users {
		b.user(Path{"passwd", "users", i}, u)
	}
}

func (b *builder) group(p Path, g types.PasswdGroup) {
	if !b.accountName(p, g.Name) {
		return
	}
	b.checkGroup(p, g)
	_, exists := b.facts.Groups[g.Name]
	group := Group{g.Name, g.Gid, g.PasswordHash, util.IsTrue(g.System)}
	switch {
	case util.IsFalse(g.ShouldExist):
		if exists {
			b.add(StageFiles, p, &RemoveGroup{g.Name})
		}
	case !exists:
		b.add(StageFiles, p, &CreateGroup{group})
	case g.Gid != nil || g.PasswordHash != nil:
		b.add(StageFiles, p, &ModifyGroup{group})
	}
}

func (b *builder) user(p Path, u types.PasswdUser) {
	if !b.accountName(p, u.Name) {
		return
	}
	_, exists := b.facts.Users[u.Name]
	if util.IsFalse(u.ShouldExist) {
		if exists {
			b.add(StageFiles, p, &RemoveUser{u.Name})
		}
		return
	}
	b.checkUser(p, u)
	user := userOf(u)
	if !exists {
		b.add(StageFiles, p, &CreateUser{user})
	} else if len(user.modifyFlags()) > 0 {
		b.add(StageFiles, p, &ModifyUser{user})
	}
	if len(u.SSHAuthorizedKeys) > 0 {
		keys := make([]string, len(u.SSHAuthorizedKeys))
		for i, k := range u.SSHAuthorizedKeys {
			keys[i] = string(k)
		}
		b.add(StageFiles, p.with("sshAuthorizedKeys"), &SSHKeys{User: u.Name, Keys: keys})
	}
}

// accountName refuses names that the tools would take for an option or that
// would break the account files.
func (b *builder) accountName(p Path, name string) bool {
	if name == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, ":/\n\x00 ") {
		b.fail(p.with("name"), "this is no name of an account", "use letters, digits, - and _, beginning with a letter")
		return false
	}
	return true
}

func userOf(u types.PasswdUser) User {
	out := User{Name: u.Name, UID: u.UID, PasswordHash: u.PasswordHash, System: util.IsTrue(u.System),
		NoCreateHome: util.IsTrue(u.NoCreateHome), NoUserGroup: util.IsTrue(u.NoUserGroup), NoLogInit: util.IsTrue(u.NoLogInit)}
	for to, from := range map[*string]*string{&out.Gecos: u.Gecos, &out.Home: u.HomeDir, &out.Shell: u.Shell, &out.PrimaryGroup: u.PrimaryGroup} {
		if from != nil {
			*to = *from
		}
	}
	for _, g := range u.Groups {
		out.Groups = append(out.Groups, string(g))
	}
	return out
}
