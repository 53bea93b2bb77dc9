package provision

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

const (
	idMax        = 1<<32 - 2 // the largest id, for the next one means none: useradd(8)
	groupNameMax = 32        // characters of a name that groupadd(8) takes
)

// checkGroup refuses what groupadd and groupmod would refuse.
func (b *builder) checkGroup(p Path, g types.PasswdGroup) {
	if util.IsFalse(g.ShouldExist) {
		return
	}
	if _, exists := b.facts.Groups[g.Name]; !exists && len(g.Name) > groupNameMax {
		b.fail(p.with("name"), fmt.Sprintf("the name is longer than the %d characters that groups take", groupNameMax), "shorten it")
	}
	b.checkField(p.with("passwordHash"), "the password's hash", g.PasswordHash)
	if g.Gid == nil || !b.checkID(p.with("gid"), *g.Gid) {
		return
	}
	if other := b.groupOf(*g.Gid, g.Name); other != "" {
		b.fail(p.with("gid"), fmt.Sprintf("the group %s has the id %d already", other, *g.Gid), "take another one, or leave it out")
	}
}

// checkUser refuses what useradd and usermod would refuse.
func (b *builder) checkUser(p Path, u types.PasswdUser) {
	b.checkField(p.with("passwordHash"), "the password's hash", u.PasswordHash)
	b.checkField(p.with("gecos"), "the comment", u.Gecos)
	b.checkField(p.with("homeDir"), "the home directory", u.HomeDir)
	b.checkField(p.with("shell"), "the shell", u.Shell)
	if home := value(u.HomeDir); home != "" && home[0] != '/' {
		b.fail(p.with("homeDir"), "the home directory is not an absolute path", "begin it with /")
	}
	if shell := value(u.Shell); shell != "" && shell[0] != '/' && shell[0] != '*' {
		b.fail(p.with("shell"), "the shell is not an absolute path", "begin it with /")
	}
	if g := value(u.PrimaryGroup); g != "" {
		b.checkMembership(p.with("primaryGroup"), g)
	}
	for i, g := range u.Groups {
		b.checkMembership(p.with("groups", i), string(g))
	}
	b.checkOwnGroup(p, u)
	b.checkKeys(p, u)
	if u.UID == nil || !b.checkID(p.with("uid"), *u.UID) {
		return
	}
	if other := b.userOf(*u.UID, u.Name); other != "" {
		b.fail(p.with("uid"), fmt.Sprintf("the user %s has the id %d already", other, *u.UID), "take another one, or leave it out")
	}
}

func (b *builder) checkID(p Path, id int) bool {
	if id < 0 || id > idMax {
		b.fail(p, fmt.Sprintf("%d is no id", id), fmt.Sprintf("write a number from 0 to %d, or leave it out", idMax))
		return false
	}
	return true
}

// checkField refuses what would end a field or a line of the account files.
func (b *builder) checkField(p Path, what string, text *string) {
	if strings.ContainsFunc(value(text), func(r rune) bool { return r == ':' || r < 0x80 && unicode.IsControl(r) }) {
		b.fail(p, what+" has a colon, a line break or another control character", "leave it out")
	}
}

// checkMembership asks for a group by name; useradd takes ids of groups too.
func (b *builder) checkMembership(p Path, name string) {
	_, shipped := b.facts.Groups[name]
	if _, err := strconv.Atoi(name); err != nil && !shipped && !b.hasGroup(name) {
		b.fail(p, "there is no group "+name, "name one of the image or of this config, or add it to passwd.groups")
	}
}

// checkOwnGroup refuses a new user whose own group, of the same name, would
// be made a second time.
func (b *builder) checkOwnGroup(p Path, u types.PasswdUser) {
	if _, exists := b.facts.Users[u.Name]; exists || value(u.PrimaryGroup) != "" || util.IsTrue(u.NoUserGroup) {
		return
	}
	if b.facts.Users == nil {
		return
	}
	_, exists := b.facts.Groups[u.Name]
	for _, g := range b.Ignition.Passwd.Groups {
		if g.Name == u.Name {
			exists = !util.IsFalse(g.ShouldExist)
		}
	}
	if exists {
		b.fail(p, "a group of this name exists, and a new user gets one of its own", "set primary_group (JSON: primaryGroup) to join it")
	}
}

// checkKeys warns of a key that must not be on the machine.
func (b *builder) checkKeys(p Path, u types.PasswdUser) {
	for i, k := range u.SSHAuthorizedKeys {
		if strings.Contains(string(k), "PRIVATE KEY-----") {
			b.warn(p.with("sshAuthorizedKeys", i), "this is a private key, with which nobody can log in", "write the public one, from the file that ends in .pub")
		}
	}
}

// userOf is another user that has an id when a user is to get it.
func (b *builder) userOf(id int, name string) string {
	var wanted []numbered
	for _, u := range b.Ignition.Passwd.Users {
		wanted = append(wanted, numbered{u.Name, u.UID, util.IsFalse(u.ShouldExist)})
	}
	there := map[string]int{}
	for name, a := range b.facts.Users {
		there[name] = a.UID
	}
	return holder(id, name, wanted, there)
}

// groupOf is userOf for groups.
func (b *builder) groupOf(id int, name string) string {
	var wanted []numbered
	for _, g := range b.Ignition.Passwd.Groups {
		wanted = append(wanted, numbered{g.Name, g.Gid, util.IsFalse(g.ShouldExist)})
	}
	return holder(id, name, wanted, b.facts.Groups)
}

// numbered is an account of a config with the id that it is to have.
type numbered struct {
	name string
	id   *int
	gone bool
}

// holder is who else has an id when name is to get it, as far as it is known:
// an account that the config has before, or one of the machine that keeps it.
func holder(id int, name string, wanted []numbered, there map[string]int) string {
	for _, w := range wanted {
		if w.name == name {
			break
		}
		if w.id != nil && *w.id == id && !w.gone {
			return w.name
		}
	}
	moved := map[string]bool{}
	for _, w := range wanted {
		moved[w.name] = w.id != nil || w.gone
	}
	for _, other := range slices.Sorted(maps.Keys(there)) {
		if there[other] == id && other != name && !moved[other] {
			return other
		}
	}
	return ""
}
