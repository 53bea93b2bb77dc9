//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"wellcar.dev/internal/sshkeys"
)

const sshKeysHelp = `Usage: update-ssh-keys [-l] [-u USER] [-n] [-a NAME [FILE...] | -A NAME [FILE...] | -d NAME | -D NAME]

Keeps the SSH keys of a user in named sets, files of ~/.ssh/authorized_keys.d,
and makes ~/.ssh/authorized_keys of them. Without -a, -A, -d or -D it only does
the latter. Keys to add come from files, or from standard input.

`

// keyChange is one run of update-ssh-keys.
type keyChange struct {
	user, dir                   string
	add, force, remove, disable string
	keep, list                  bool
	keys                        []sshkeys.Key
	out                         io.Writer
}

func runSSHKeys(_ context.Context, args []string, out, errOut io.Writer) error {
	c := keyChange{out: out, user: defaultUser()}
	f := flag.NewFlagSet("update-ssh-keys", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.Usage = func() { fmt.Fprint(errOut, sshKeysHelp); f.PrintDefaults() }
	f.StringVar(&c.user, "u", c.user, "`user` whose keys they are")
	f.StringVar(&c.add, "a", "", "add the keys under this `name`")
	f.StringVar(&c.force, "A", "", "add the keys under this `name`, even if it was disabled with -D")
	f.BoolVar(&c.keep, "n", false, "when adding, leave keys of the same name as they are")
	f.StringVar(&c.remove, "d", "", "delete the keys of this `name`")
	f.StringVar(&c.disable, "D", "", "delete the keys of this `name` and keep it from being added with -a")
	f.BoolVar(&c.list, "l", false, "list all names and the fingerprints of their keys")
	f.StringVar(&c.dir, "s", "", "`directory` of the SSH configuration (default ~/.ssh)")
	f.StringVar(&c.dir, "ssh-dir", "", "the same as -s")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if err := c.check(f.Args()); err != nil {
		fmt.Fprintf(errOut, "update-ssh-keys: %v\n", err)
		return errUsage
	}
	if c.add != "" || c.force != "" {
		if err := c.readKeys(f.Args()); err != nil {
			return err
		}
	}
	return c.run()
}

// defaultUser is the caller, or core if that is root.
func defaultUser() string {
	if u, err := user.Current(); err == nil && u.Username != "root" {
		return u.Username
	}
	return "core"
}

func (c *keyChange) check(files []string) error {
	n := 0
	for _, name := range []string{c.add, c.force, c.remove, c.disable} {
		if name != "" {
			n++
		}
	}
	if n > 1 {
		return errors.New("only one of -a, -A, -d and -D can be given")
	}
	if len(files) > 0 && c.add == "" && c.force == "" {
		return fmt.Errorf("unexpected word %q", files[0])
	}
	return nil
}

// readKeys reads before the rights of the caller are given up.
func (c *keyChange) readKeys(files []string) error {
	if len(files) == 0 {
		data, err := io.ReadAll(os.Stdin)
		c.keys = sshkeys.Parse(data)
		return err
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading the keys: %w", err)
		}
		c.keys = append(c.keys, sshkeys.Parse(data)...)
	}
	return nil
}

func (c *keyChange) run() error {
	u, err := user.Lookup(c.user)
	if err != nil {
		return fmt.Errorf("finding the user %s: %w", c.user, err)
	}
	if err := become(u); err != nil {
		return err
	}
	set, err := sshkeys.Open(u.HomeDir, c.dir)
	if err != nil {
		return err
	}
	defer set.Close()
	if err := c.change(set); err != nil {
		return err
	}
	if err := set.Write(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Updated %q\n", set.File())
	return nil
}

// become gives up the rights of root for good, so that nothing in the user's
// home directory can lead elsewhere.
func become(u *user.User) error {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil || uid == os.Getuid() {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err == nil {
		err = syscall.Setgroups([]int{gid})
	}
	if err == nil {
		err = syscall.Setresgid(gid, gid, gid)
	}
	if err == nil {
		err = syscall.Setresuid(uid, uid, uid)
	}
	if err != nil {
		return fmt.Errorf("becoming the user %s: %w", u.Username, err)
	}
	return nil
}

func (c *keyChange) change(set *sshkeys.Set) error {
	switch {
	case c.force != "":
		return c.addKeys(set, c.force, sshkeys.Force)
	case c.add != "" && c.keep:
		return c.addKeys(set, c.add, sshkeys.Keep)
	case c.add != "":
		return c.addKeys(set, c.add, sshkeys.Replace)
	case c.remove != "":
		fmt.Fprintf(c.out, "Removing %s:\n", c.remove)
		c.show(set.Delete(c.remove))
	case c.disable != "":
		fmt.Fprintf(c.out, "Disabling %s:\n", c.disable)
		keys, err := set.Disable(c.disable)
		c.show(keys)
		return err
	case c.list:
		fmt.Fprintf(c.out, "All keys for %s:\n", c.user)
		for _, name := range set.Names() {
			fmt.Fprintf(c.out, "%s:\n", name)
			c.show(set.Keys(name))
		}
	}
	return nil
}

func (c *keyChange) addKeys(set *sshkeys.Set, name string, mode sshkeys.Mode) error {
	err := set.Add(name, c.keys, mode)
	switch {
	case errors.Is(err, sshkeys.ErrDisabled):
		fmt.Fprintf(c.out, "Skipping add %s for %s, disabled.\n", name, c.user)
		return nil
	case errors.Is(err, sshkeys.ErrExists):
		fmt.Fprintf(c.out, "Skipping add %s for %s, already exists.\n", name, c.user)
		return nil
	case err == nil:
		fmt.Fprintf(c.out, "Adding/updating %s:\n", name)
		c.show(c.keys)
	}
	return err
}

func (c *keyChange) show(keys []sshkeys.Key) {
	for _, k := range keys {
		if k.Fingerprint == "" {
			fmt.Fprintf(c.out, "warning: %q is no public key, it is left out of authorized_keys\n", k.Line)
			continue
		}
		fmt.Fprintln(c.out, k.Fingerprint)
	}
}
