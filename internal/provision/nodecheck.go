package provision

import (
	"fmt"
	"path"
	"slices"

	"github.com/coreos/ignition/v2/config/util"
)

// checkNesting refuses paths below a file of the config.
func (b *builder) checkNesting(entries []entry) {
	files := map[string]entry{}
	for _, e := range entries {
		if _, ok := e.main.(*WriteFile); ok {
			files[path.Clean(e.main.node().Path)] = e
		}
	}
	for _, e := range entries {
		for dir := path.Dir(path.Clean(e.main.node().Path)); dir != "/" && dir != "."; dir = path.Dir(dir) {
			if f, ok := files[dir]; ok {
				b.fail(e.at.with("path"), fmt.Sprintf("the path leads through the file %s of this config (%s)", dir, b.Position(f.at...)),
					"rename one of the two")
			}
		}
	}
}

// checkOwner refuses owners that are neither on the machine nor made by the
// config.
func (b *builder) checkOwner(e entry) {
	n := e.main.node()
	if n.User.Name != "" && !b.hasUser(n.User.Name) {
		b.fail(e.at.with("user", "name"), "there is no user "+n.User.Name, "name one of the image or of this config, or give an id")
	}
	if n.Group.Name != "" && !b.hasGroup(n.Group.Name) {
		b.fail(e.at.with("group", "name"), "there is no group "+n.Group.Name, "name one of the image or of this config, or give an id")
	}
}

func (b *builder) hasUser(name string) bool {
	for _, u := range b.Ignition.Passwd.Users {
		if u.Name == name {
			return !util.IsFalse(u.ShouldExist)
		}
	}
	_, ok := b.facts.Users[name]
	return ok || b.facts.Users == nil
}

// hasGroup counts the group that a new user gets.
func (b *builder) hasGroup(name string) bool {
	for _, g := range b.Ignition.Passwd.Groups {
		if g.Name == name {
			return !util.IsFalse(g.ShouldExist)
		}
	}
	for _, u := range b.Ignition.Passwd.Users {
		if u.Name == name && !util.IsTrue(u.NoUserGroup) && !util.IsFalse(u.ShouldExist) {
			return true
		}
	}
	_, ok := b.facts.Groups[name]
	return ok || b.facts.Groups == nil
}

// accountNames are all users and groups that the config names, sorted.
func (c Config) accountNames() (users, groups []string) {
	node := func(user, group *string) {
		users, groups = append(users, pointed(user)), append(groups, pointed(group))
	}
	s := c.Ignition.Storage
	for _, f := range s.Files {
		node(f.User.Name, f.Group.Name)
	}
	for _, d := range s.Directories {
		node(d.User.Name, d.Group.Name)
	}
	for _, l := range s.Links {
		node(l.User.Name, l.Group.Name)
	}
	for _, u := range c.Ignition.Passwd.Users {
		users, groups = append(users, u.Name), append(groups, u.Name, pointed(u.PrimaryGroup))
		for _, g := range u.Groups {
			groups = append(groups, string(g))
		}
	}
	for _, g := range c.Ignition.Passwd.Groups {
		groups = append(groups, g.Name)
	}
	return names(users), names(groups)
}

func names(all []string) []string {
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 0 && all[0] == "" {
		all = all[1:]
	}
	return all
}

func pointed(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
