package daytwo

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"wellcar.dev/internal/provision"
)

// locked is the hash of an account that no password opens.
const locked = "*"

// madeShell is that of a new user if the config does not say, by the image's
// /etc/default/useradd.
const madeShell = "/bin/bash"

// Login is what an account file says of a user beside provision.Account.
type Login struct {
	Gecos  string
	Groups []string // that list the user
	Hash   *string  // of the password; nil: not known
}

// logins reads the account files of a directory, as far as they are there.
func logins(files provision.Files, dir string) (map[string]Login, error) {
	out := map[string]Login{}
	passwd, err1 := accountLines(files, path.Join(dir, "passwd"))
	shadow, err2 := accountLines(files, path.Join(dir, "shadow"))
	groups, err3 := accountLines(files, path.Join(dir, "group"))
	for _, line := range passwd {
		if len(line) > 4 {
			out[line[0]] = Login{Gecos: line[4]}
		}
	}
	for _, line := range shadow {
		if l, ok := out[line[0]]; ok && len(line) > 1 {
			l.Hash = &line[1]
			out[line[0]] = l
		}
	}
	for _, line := range groups {
		if len(line) < 4 {
			continue
		}
		for user := range strings.SplitSeq(line[3], ",") {
			if l, ok := out[user]; ok {
				l.Groups = append(l.Groups, line[0])
				out[user] = l
			}
		}
	}
	return out, errors.Join(err1, err2, err3)
}

func accountLines(files provision.Files, name string) ([][]string, error) {
	data, err := files.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	var out [][]string
	for line := range strings.Lines(string(data)) {
		out = append(out, strings.Split(strings.TrimSuffix(line, "\n"), ":"))
	}
	return out, nil
}

func (p *Plan) accounts(old, new map[string]Wanted, f Facts, group bool) {
	what := "user"
	if group {
		what = "group"
	}
	for _, name := range union(old, new) {
		o, was := old[name]
		n, is := new[name]
		_, exists := f.Users[name]
		if group {
			_, exists = f.Groups[name]
		}
		c := Change{What: what, Name: name, At: n.Step.At, group: group}
		if !is {
			c.At = o.Step.At
		}
		switch {
		case is && !exists && was && o.Text == n.Text:
			c.Op, c.Detail = Keep, "removed by hand"
			p.Kept = append(p.Kept, c)
			continue
		case is && !exists:
			c.Op, c.step = Add, &n.Step
		case !is && exists && o.made():
			c.Op = Remove
			if !group {
				c.Detail = "the home directory stays"
			}
		case exists && !c.alter(o, n, f):
			continue
		case !exists:
			continue
		}
		p.Changes = append(p.Changes, c)
	}
}

// made tells whether the config made the account, rather than changed one of
// the image.
func (w Wanted) made() bool {
	switch w.Step.Action.(type) {
	case *provision.CreateUser, *provision.CreateGroup:
		return true
	}
	return false
}

// alter finds out what of an account to change: where the configs differ, and
// nothing else. It tells whether that is anything.
func (c *Change) alter(o, n Wanted, f Facts) bool {
	fields := userFields(o.user(), n.user(), f)
	if c.group {
		fields = groupFields(o.group(), n.group(), f)
	}
	var details, byHand []string
	for _, d := range fields {
		args, detail := d.change()
		if len(args) == 0 {
			continue
		}
		c.args, details = append(c.args, args...), append(details, detail)
		if d.byHand() {
			byHand = append(byHand, d.what)
		}
	}
	if !c.group {
		if args, detail := memberships(o.user(), n.user(), c.Name, f); len(args) > 0 {
			c.args, details = append(c.args, args...), append(details, detail)
		}
	}
	c.Op, c.Detail = Alter, strings.Join(details, ", ")
	switch {
	case o.Step.Action == nil && n.made():
		c.Conflict = fmt.Sprintf("there is a %s already that no config made", c.What)
	case len(byHand) > 0:
		c.Conflict = "changed by hand since: " + strings.Join(byHand, ", ")
	}
	return len(c.args) > 0
}

// field is something that a config can say of an account. "" is not said, or
// not known.
type field struct {
	what     string
	flags    []string // before the value
	old, new string   // what the configs say
	unset    string   // what the account has where none does
	now      string
	secret   bool
}

// change gives the arguments that change it, and what to tell of them.
func (d field) change() (args []string, detail string) {
	want := cmp.Or(d.new, d.unset)
	if d.old == d.new || want == "" || want == d.now || want == locked && isLocked(d.now) {
		return nil, ""
	}
	detail = d.what
	switch {
	case d.secret && want == locked:
		detail += " locked"
	case !d.secret:
		detail += " " + want
	}
	return append(slices.Clone(d.flags), want), detail
}

// byHand tells whether the machine has neither what the old config said nor
// what is there without one.
func (d field) byHand() bool {
	was := cmp.Or(d.old, d.unset)
	return was != "" && d.now != "" && d.now != was && !(was == locked && isLocked(d.now))
}

func isLocked(hash string) bool { return strings.HasPrefix(hash, "*") || strings.HasPrefix(hash, "!") }

// userFields leaves out the groups. What configs no longer say of the id and
// the home directory stays: any would do.
func userFields(o, n provision.User, f Facts) []field {
	name := cmp.Or(n.Name, o.Name)
	now, login := f.Users[name], f.Logins[name]
	image, shipped := provision.DefaultFacts().Users[name]
	shell, gid := madeShell, f.ownGroup(name, o)
	if shipped {
		shell, gid = image.Shell, strconv.Itoa(image.GID)
	}
	hash := ""
	if login.Hash != nil {
		hash = cmp.Or(*login.Hash, "none") // an empty one opens to everybody
	}
	return []field{
		{what: "uid", flags: []string{"--uid"}, old: number(o.UID), new: number(n.UID), now: strconv.Itoa(now.UID)},
		{what: "comment", flags: []string{"--comment"}, old: o.Gecos, new: n.Gecos, now: login.Gecos},
		{what: "home", flags: []string{"--move-home", "--home"}, old: o.Home, new: n.Home, now: now.Home},
		{what: "primary group", flags: []string{"--gid"}, old: f.gidOf(o.PrimaryGroup), new: f.gidOf(n.PrimaryGroup), unset: gid, now: strconv.Itoa(now.GID)},
		{what: "shell", flags: []string{"--shell"}, old: o.Shell, new: n.Shell, unset: shell, now: now.Shell},
		{what: "password", flags: []string{"--password"}, old: hashOf(o.PasswordHash), new: hashOf(n.PasswordHash), unset: locked, now: hash, secret: true},
	}
}

func groupFields(o, n provision.Group, f Facts) []field {
	name := cmp.Or(n.Name, o.Name)
	return []field{
		{what: "gid", flags: []string{"--gid"}, old: number(o.GID), new: number(n.GID), now: strconv.Itoa(f.Groups[name])},
		{what: "password", flags: []string{"--password"}, old: hashOf(o.PasswordHash), new: hashOf(n.PasswordHash), unset: locked, secret: true},
	}
}

func number(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func hashOf(hash *string) string {
	if hash == nil {
		return ""
	}
	return cmp.Or(*hash, locked)
}

// gidOf is a group of a config as a number, if it is there already.
func (f Facts) gidOf(group string) string {
	if id, ok := f.Groups[group]; ok {
		return strconv.Itoa(id)
	}
	return group
}

// ownGroup is the primary group that useradd gives to a user if the config
// does not say.
func (f Facts) ownGroup(name string, o provision.User) string {
	id, ok := f.Groups[name]
	if !ok || o.NoUserGroup {
		id, ok = f.Groups[usersGroup]
	}
	if !ok {
		return ""
	}
	return strconv.Itoa(id)
}

// usersGroup is that of users without a group of their own.
const usersGroup = "users"

// memberships takes a user out of the groups that only the old config gave,
// and puts it into those that only the new one gives. A user of the image is
// in the image's groups where a config says nothing.
func memberships(o, n provision.User, name string, f Facts) (args []string, detail string) {
	if len(o.Groups)+len(n.Groups) == 0 {
		return nil, ""
	}
	was, want, now := o.Groups, n.Groups, f.Logins[name].Groups
	if _, shipped := provision.DefaultFacts().Users[name]; shipped {
		for _, groups := range []*[]string{&was, &want} {
			if len(*groups) == 0 {
				*groups = f.Image[name].Groups
			}
		}
	}
	gone := without(now, without(now, without(was, want)))
	added := without(without(want, was), now)
	var details []string
	if len(added) > 0 {
		details = append(details, "into "+strings.Join(added, " "))
	}
	if len(gone) > 0 {
		details = append(details, "out of "+strings.Join(gone, " "))
	}
	if len(details) == 0 {
		return nil, ""
	}
	return []string{"--groups", strings.Join(append(without(now, gone), added...), ",")}, strings.Join(details, ", ")
}

func (w Wanted) user() provision.User {
	switch a := w.Step.Action.(type) {
	case *provision.CreateUser:
		return a.User
	case *provision.ModifyUser:
		return a.User
	}
	return provision.User{}
}

func (w Wanted) group() provision.Group {
	switch a := w.Step.Action.(type) {
	case *provision.CreateGroup:
		return a.Group
	case *provision.ModifyGroup:
		return a.Group
	}
	return provision.Group{}
}
