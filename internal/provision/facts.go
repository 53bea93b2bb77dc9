package provision

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// Facts are what a plan must know of the machine.
type Facts struct {
	Platform string
	Users    map[string]Account // that exist, by name
	Groups   map[string]int     // ids of those that exist, by name
	// UsrReadOnly tells whether nothing can be written below /usr.
	UsrReadOnly bool
	KernelLine  string     // words that the image starts its kernel with; empty if unknown
	Disks       []DiskFact // that the config names, as they are before the first step; those that are not known are missing
}

// Account is a user of the machine.
type Account struct {
	Name  string
	UID   int
	GID   int
	Home  string
	Shell string
}

// DefaultFacts describe a machine that has never started.
func DefaultFacts() Facts {
	f := Facts{Users: make(map[string]Account, len(imageUsers)), Groups: maps.Clone(imageGroups), UsrReadOnly: true}
	for _, a := range imageUsers {
		f.Users[a.Name] = a
	}
	return f
}

// Gather finds the facts that a config needs on a target.
func Gather(ctx context.Context, c Config, t Target) (Facts, error) {
	f := Facts{UsrReadOnly: t.usrReadOnly()}
	if known, err := t.hasAccounts(); !known || err != nil {
		return f, err
	}
	f.Users, f.Groups = map[string]Account{}, map[string]int{}
	m := &machine{Target: t}
	c, _ = c.Render(ctx, nil) // what stands in the way is told by Plan
	users, groups := c.accountNames()
	for _, name := range users {
		if a, ok, err := m.user(ctx, name); err != nil {
			return f, err
		} else if ok {
			f.Users[name] = a
		}
	}
	for _, name := range groups {
		if id, ok, err := m.group(ctx, name); err != nil {
			return f, err
		} else if ok {
			f.Groups[name] = id
		}
	}
	return f, nil
}

// hasAccounts tells whether a target has files with accounts yet.
func (t Target) hasAccounts() (bool, error) {
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		_, err := t.Files.Stat(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// usrReadOnly tells whether nothing can be written below /usr of a target.
func (t Target) usrReadOnly() bool {
	files, ok := t.Files.(interface{ ReadOnly(name string) bool })
	return ok && files.ReadOnly("/usr")
}

// AddMemberships adds the groups of a target that users of a config join and
// that the config does not make.
func (f *Facts) AddMemberships(ctx context.Context, c Config, t Target) error {
	m := &machine{Target: t}
	made := map[string]bool{}
	for _, g := range c.Ignition.Passwd.Groups {
		made[g.Name] = true
	}
	for _, u := range c.Ignition.Passwd.Users {
		for _, g := range append(u.Groups[:len(u.Groups):len(u.Groups)], types.Group(value(u.PrimaryGroup))) {
			name := string(g)
			if _, known := f.Groups[name]; known || made[name] || name == "" {
				continue
			}
			id, ok, err := m.group(ctx, name)
			if err != nil {
				return err
			}
			if ok {
				f.Groups[name] = id
			}
		}
	}
	return nil
}

// parsePasswd finds a user in the format of passwd(5).
func parsePasswd(data []byte, name string) (Account, bool) {
	fields := dbLine(data, name)
	if len(fields) < 7 {
		return Account{}, false
	}
	uid, err1 := strconv.Atoi(fields[2])
	gid, err2 := strconv.Atoi(fields[3])
	return Account{name, uid, gid, fields[5], fields[6]}, err1 == nil && err2 == nil
}

// parseGroup finds the id of a group in the format of group(5).
func parseGroup(data []byte, name string) (int, bool) {
	fields := dbLine(data, name)
	if len(fields) < 3 {
		return 0, false
	}
	id, err := strconv.Atoi(fields[2])
	return id, err == nil
}

func dbLine(data []byte, name string) []string {
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, name+":") {
			return strings.Split(strings.TrimRight(line, "\n"), ":")
		}
	}
	return nil
}
