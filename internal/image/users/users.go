// Package users turns the recipe's list of users and groups into the account
// files of the image: passwd, group, shadow, gshadow and a sysusers.d file
// with the same fixed ids, so that package sysusers lines find them taken.
//
// Formats: passwd(5), group(5), shadow(5), gshadow(5), sysusers.d(5). Entries
// keep the order of the list. Passwords are never set, only locked.
package users

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// List is the content of users.yaml.
type List struct {
	Groups []Group `yaml:"groups"`
	Users  []User  `yaml:"users"`
}

// Group is one group.
type Group struct {
	Name    string   `yaml:"name"`
	GID     uint32   `yaml:"gid"`
	Members []string `yaml:"members,omitempty"`
}

// User is one user. Groups are supplementary groups by name.
type User struct {
	Name     string   `yaml:"name"`
	UID      uint32   `yaml:"uid"`
	GID      uint32   `yaml:"gid"`
	Comment  string   `yaml:"comment,omitempty"`
	Home     string   `yaml:"home,omitempty"`     // default "/"
	Shell    string   `yaml:"shell,omitempty"`    // default /usr/sbin/nologin
	Password string   `yaml:"password,omitempty"` // "*" (default: no password fits) or "!" (locked)
	Groups   []string `yaml:"groups,omitempty"`
}

// Files are the rendered account files.
type Files struct {
	Passwd, Group, Shadow, Gshadow []byte
	Sysusers                       []byte // for sysusers.d
}

// Problem is a fault of one entry: Kind is "groups" or "users" and Index
// counts from 0, so that the caller can point at a line.
type Problem struct {
	Kind  string
	Index int
	Err   error
}

// Check returns everything that is wrong with the list.
func Check(l List) []Problem {
	var out []Problem
	names, gids, groups := map[string]bool{}, map[uint32]string{}, map[string]bool{}
	for i, g := range l.Groups {
		for _, err := range []error{badWord(g.Name), duplicate(groups, g.Name), sameID(gids, g.GID, g.Name)} {
			if err != nil {
				out = append(out, Problem{"groups", i, fmt.Errorf("group %q: %w", g.Name, err)})
			}
		}
	}
	uids := map[uint32]string{}
	for i, u := range l.Users {
		if err := checkUser(u, names, uids, gids, groups); err != nil {
			out = append(out, Problem{"users", i, fmt.Errorf("user %q: %w", u.Name, err)})
		}
	}
	for i, g := range l.Groups {
		for _, m := range g.Members {
			if !names[m] {
				out = append(out, Problem{"groups", i, fmt.Errorf("group %q: its member %q is not a user of the list", g.Name, m)})
			}
		}
	}
	return out
}

func checkUser(u User, names map[string]bool, uids map[uint32]string, gids map[uint32]string, groups map[string]bool) error {
	errs := []error{badWord(u.Name), duplicate(names, u.Name), sameID(uids, u.UID, u.Name)}
	if gids[u.GID] == "" {
		errs = append(errs, fmt.Errorf("no group of the list has its gid %d", u.GID))
	}
	if strings.ContainsAny(u.Comment+u.Home+u.Shell, ":\n\"") {
		errs = append(errs, errors.New("comment, home and shell cannot hold a colon, quote or line break"))
	}
	if u.Password != "" && u.Password != "*" && u.Password != "!" {
		errs = append(errs, errors.New(`the password can only be "*" or "!": an image that everybody can read holds no secret`))
	}
	for _, g := range u.Groups {
		if !groups[g] {
			errs = append(errs, fmt.Errorf("group %q is not in the list", g))
		}
	}
	return errors.Join(errs...)
}

func badWord(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || strings.HasPrefix(name, "-") {
		return errors.New("a name is made of a-z, 0-9, _ and -")
	}
	return nil
}

func duplicate(seen map[string]bool, name string) error {
	if seen[name] {
		return errors.New("it is listed twice")
	}
	seen[name] = true
	return nil
}

func sameID(seen map[uint32]string, id uint32, name string) error {
	if other := seen[id]; other != "" && other != name {
		return fmt.Errorf("%q already has the id %d", other, id)
	}
	seen[id] = name
	return nil
}

// Render writes the files of a list that Check found nothing wrong with.
func Render(l List) Files {
	members := membership(l)
	var passwd, group, shadow, gshadow, sys strings.Builder
	sys.WriteString("# Fixed ids. Made from image/users.yaml.\n")
	for _, g := range l.Groups {
		list := strings.Join(members[g.Name], ",")
		fmt.Fprintf(&group, "%s:x:%d:%s\n", g.Name, g.GID, list)
		fmt.Fprintf(&gshadow, "%s:*::%s\n", g.Name, list)
		fmt.Fprintf(&sys, "g %s %d\n", g.Name, g.GID)
	}
	for _, u := range l.Users {
		home, shell, password := or(u.Home, "/"), or(u.Shell, "/usr/sbin/nologin"), or(u.Password, "*")
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Comment, home, shell)
		fmt.Fprintf(&shadow, "%s:%s:::::::\n", u.Name, password)
		fmt.Fprintf(&sys, "u %s %d:%d %q %s %s\n", u.Name, u.UID, u.GID, or(u.Comment, u.Name), home, shell)
	}
	for _, g := range l.Groups {
		for _, m := range members[g.Name] {
			fmt.Fprintf(&sys, "m %s %s\n", m, g.Name)
		}
	}
	return Files{[]byte(passwd.String()), []byte(group.String()), []byte(shadow.String()), []byte(gshadow.String()), []byte(sys.String())}
}

// membership joins both ways of saying that a user is in a group.
func membership(l List) map[string][]string {
	set := map[string]map[string]bool{}
	add := func(group, user string) {
		if set[group] == nil {
			set[group] = map[string]bool{}
		}
		set[group][user] = true
	}
	for _, g := range l.Groups {
		for _, m := range g.Members {
			add(g.Name, m)
		}
	}
	for _, u := range l.Users {
		for _, g := range u.Groups {
			add(g, u.Name)
		}
	}
	out := map[string][]string{}
	for group, users := range set {
		for u := range users {
			out[group] = append(out[group], u)
		}
		sort.Strings(out[group])
	}
	return out
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
