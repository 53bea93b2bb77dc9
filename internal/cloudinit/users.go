package cloudinit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"wellcar.dev/internal/sys/command"
)

// user makes an account, or sets the password of one that exists; the other
// fields count only when it is made.
func (m Machine) user(ctx context.Context, u User) error {
	_, err := m.Run(ctx, command.Cmd{Path: "getent", Args: []string{"passwd", u.Name}})
	if status, ok := command.Status(err); ok && status == 2 {
		err = m.run(ctx, "", "useradd", userFlags(u)...)
	} else if err == nil && u.Passwd != "" {
		err = m.run(ctx, u.Name+":"+u.Passwd+"\n", "chpasswd", "-e")
	}
	if err != nil {
		return fmt.Errorf("making user %s: %w", u.Name, err)
	}
	if u.Name != "core" { // core's keys come before all parts
		if err := m.authorize(ctx, u.Name, u.SSHAuthorizedKeys); err != nil {
			return err
		}
	}
	return m.remoteKeys(ctx, u)
}

func userFlags(u User) []string {
	password := "*"
	if u.Passwd != "" {
		password = u.Passwd
	}
	args := []string{"--password", password}
	for _, f := range [][2]string{
		{"--comment", u.Gecos}, {"--home-dir", u.Homedir}, {"--gid", u.PrimaryGroup},
		{"--groups", strings.Join(u.Groups, ",")}, {"--shell", u.Shell},
	} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	home := "--create-home"
	if u.NoCreateHome {
		home = "--no-create-home"
	}
	args = append(args, home)
	for _, f := range []struct {
		name string
		on   bool
	}{{"--no-user-group", u.NoUserGroup}, {"--system", u.System}, {"--no-log-init", u.NoLogInit}} {
		if f.on {
			args = append(args, f.name)
		}
	}
	return append(args, u.Name)
}

// remoteKeys fetches the keys that a config names by an address or by names
// of GitHub.
func (m Machine) remoteKeys(ctx context.Context, u User) error {
	addresses := map[string]string{}
	names := u.GitHubUsers
	if u.GitHubUser != "" {
		names = append([]string{u.GitHubUser}, names...)
	}
	var order []string
	for _, name := range names {
		url := "https://api.github.com/users/" + name + "/keys"
		addresses[url] = "github-" + name
		order = append(order, url)
	}
	if u.KeysURL != "" {
		addresses[u.KeysURL] = "coreos-cloudinit-" + u.Name
		order = append(order, u.KeysURL)
	}
	for _, url := range order {
		keys, err := m.fetchKeys(ctx, url)
		if err != nil {
			return fmt.Errorf("fetching keys of %s from %s: %w", u.Name, url, err)
		}
		if err := m.authorizeAs(ctx, u.Name, addresses[url], keys); err != nil {
			return err
		}
	}
	return nil
}

func (m Machine) fetchKeys(ctx context.Context, url string) ([]string, error) {
	if m.Get == nil {
		return nil, errors.New("there is no network")
	}
	data, err := m.Get(ctx, url)
	if err != nil {
		return nil, err
	}
	var list []struct{ Key string }
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var keys []string
	for _, k := range list {
		keys = append(keys, k.Key)
	}
	return keys, nil
}
