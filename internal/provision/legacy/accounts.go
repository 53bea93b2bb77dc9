package legacy

import (
	spec2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/merge"
	"github.com/coreos/ignition/v2/config/v3_1/types"
)

// accounts converts groups and users. An account that is given twice is
// changed a second time, so the later settings win and keys are added.
func (c *converter) accounts() {
	groups := map[string]int{}
	for i, g := range c.in.Passwd.Groups {
		n, again := groups[g.Name]
		if again {
			c.twice("group "+g.Name, "groups", i)
		} else {
			n = len(c.out.Passwd.Groups)
			groups[g.Name] = n
			c.out.Passwd.Groups = append(c.out.Passwd.Groups, types.PasswdGroup{})
			c.from(entry("passwd.groups", n), "passwd", "groups", i)
		}
		c.out.Passwd.Groups[n] = over(c.out.Passwd.Groups[n], types.PasswdGroup{
			Name: g.Name, Gid: g.Gid, PasswordHash: text(g.PasswordHash), System: yes(g.System),
		})
	}
	c.users()
}

func (c *converter) twice(object, list string, i int) {
	c.warn(object+" is given before, and this entry adds to that one", "write one entry", "passwd", list, i, "name")
}

func (c *converter) users() {
	users := map[string]int{}
	for i, u := range c.in.Passwd.Users {
		n, again := users[u.Name]
		if again {
			c.twice("user "+u.Name, "users", i)
		} else {
			n = len(c.out.Passwd.Users)
			users[u.Name] = n
			c.out.Passwd.Users = append(c.out.Passwd.Users, types.PasswdUser{})
			c.userOrigin(n, i, u)
		}
		c.out.Passwd.Users[n] = over(c.out.Passwd.Users[n], c.user(i, u))
	}
}

// over lays the settings of an account over earlier ones by the rules that
// merge configs.
func over[T any](before, after T) T {
	merged, _ := merge.MergeStructTranscribe(before, after)
	return merged.(T)
}

func (c *converter) userOrigin(n, i int, u spec2.PasswdUser) {
	to, at := entry("passwd.users", n), []any{"passwd", "users", i}
	if u.Create == nil {
		c.from(to, at...)
		return
	}
	c.from(to, append(at, "create")...)
	for _, own := range []string{"name", "passwordHash", "sshAuthorizedKeys"} {
		c.from(to+"."+own, append(at[:3:3], own)...)
	}
}

func (c *converter) user(i int, u spec2.PasswdUser) types.PasswdUser {
	if u.Create != nil {
		u = c.created(i, u)
	}
	return types.PasswdUser{
		Name: u.Name, PasswordHash: u.PasswordHash, SSHAuthorizedKeys: words[types.SSHAuthorizedKey](u.SSHAuthorizedKeys),
		UID: u.UID, Gecos: text(u.Gecos), HomeDir: text(u.HomeDir), NoCreateHome: yes(u.NoCreateHome),
		PrimaryGroup: text(u.PrimaryGroup), Groups: words[types.Group](u.Groups), NoUserGroup: yes(u.NoUserGroup),
		NoLogInit: yes(u.NoLogInit), Shell: text(u.Shell), System: yes(u.System),
	}
}

// created reads the older form, in which the settings of a new user stand in
// an object of their own.
func (c *converter) created(i int, u spec2.PasswdUser) spec2.PasswdUser {
	if u.Gecos != "" || len(u.Groups) > 0 || u.HomeDir != "" || u.NoCreateHome || u.NoLogInit || u.NoUserGroup ||
		u.PrimaryGroup != "" || u.Shell != "" || u.System || u.UID != nil {
		c.fail("user "+u.Name+" has settings inside create and beside it", "move those of create beside it and drop create", "passwd", "users", i, "create")
	}
	n := u.Create
	return spec2.PasswdUser{
		Name: u.Name, PasswordHash: u.PasswordHash, SSHAuthorizedKeys: u.SSHAuthorizedKeys,
		UID: n.UID, Gecos: n.Gecos, HomeDir: n.HomeDir, NoCreateHome: n.NoCreateHome, PrimaryGroup: n.PrimaryGroup,
		Groups: words[spec2.Group](n.Groups), NoUserGroup: n.NoUserGroup, NoLogInit: n.NoLogInit, Shell: n.Shell, System: n.System,
	}
}
