package daytwo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/sys/rootfs"
)

// keysFile is where a config's SSH keys are in a home directory.
const (
	keysFile      = ".ssh/authorized_keys.d/ignition"
	updateSSHKeys = "/usr/bin/update-ssh-keys"
)

// keysOf are the users whose keys a plan changes, with the files.
func keysOf(p Plan) map[string]string {
	users := map[string]string{}
	for _, c := range p.Changes {
		for _, i := range []*Item{c.old, c.item} {
			if i != nil && i.keys() {
				users[i.User.Name] = i.Path
			}
		}
	}
	return users
}

func (i Item) keys() bool {
	_, ok := i.step.Action.(*provision.SSHKeys)
	return ok
}

// mergeKeys has the keys of users merged again where that was done before, as
// on clouds: else a key that is gone from the config would still open.
func mergeKeys(ctx context.Context, t provision.Target, users map[string]string) error {
	for _, user := range union(users, nil) {
		if err := mergeKeysOf(ctx, t, user, users[user]); err != nil {
			return fmt.Errorf("merging the SSH keys of %s: %w", user, err)
		}
	}
	return nil
}

func mergeKeysOf(ctx context.Context, t provision.Target, user, file string) error {
	dir := path.Dir(file)
	merged := path.Join(path.Dir(dir), "authorized_keys")
	a, ok, err := t.User(ctx, user)
	if err != nil || !ok {
		return err // a user who is gone cannot log in
	}
	left := 0
	err = t.Files.As(a.UID, a.GID, func() error {
		left, err = mergedKeys(t.Files, a, merged, dir)
		return err
	})
	if err != nil || left == 0 {
		return err
	}
	if t.Run == nil {
		return errors.New("programs of this machine cannot be run")
	}
	_, err = t.Run(ctx, updateSSHKeys, "-u", user)
	return err
}

// mergedKeys counts the sets of keys that are to be merged, with the user's
// rights. Without any, update-ssh-keys would leave the file as it is.
func mergedKeys(files provision.Files, a provision.Account, merged, dir string) (int, error) {
	data, err := files.ReadFile(merged)
	if err != nil || !bytes.HasPrefix(data, []byte(layout.MergedKeys)) {
		return 0, nil // there is none, or it is the user's own
	}
	names, err := files.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if len(names) == 0 {
		return 0, files.WriteFile(merged, []byte(layout.MergedKeys), rootfs.Meta{Perm: 0o600, UID: a.UID, GID: a.GID})
	}
	return len(names), nil
}
