package provision

import (
	"strconv"
	"strings"
)

// What a hash field holds when no password shall work.
const locked = "*"

// createFlags are the arguments of useradd, without the name.
func (u User) createFlags() []string {
	var args []string
	if u.Home != "" {
		args = append(args, "--home-dir", u.Home)
	}
	if u.NoCreateHome {
		args = append(args, "--no-create-home")
	} else {
		args = append(args, "--create-home")
	}
	for _, f := range []string{flag(u.NoUserGroup, "--no-user-group"), flag(u.System, "--system"), flag(u.NoLogInit, "--no-log-init")} {
		if f != "" {
			args = append(args, f)
		}
	}
	hash := locked
	if u.PasswordHash != nil && *u.PasswordHash != "" {
		hash = *u.PasswordHash
	}
	return append(append(args, "--password", hash), u.sharedFlags()...)
}

// modifyFlags are the arguments of usermod, without the name.
func (u User) modifyFlags() []string {
	var args []string
	if u.Home != "" {
		args = append(args, "--home", u.Home, "--move-home")
	}
	if u.PasswordHash != nil {
		args = append(args, "--password", orLocked(*u.PasswordHash))
	}
	return append(args, u.sharedFlags()...)
}

func (u User) sharedFlags() []string {
	var args []string
	if u.UID != nil {
		args = append(args, "--uid", strconv.Itoa(*u.UID))
	}
	for _, f := range [][2]string{{"--comment", u.Gecos}, {"--gid", u.PrimaryGroup}, {"--groups", strings.Join(u.Groups, ",")}, {"--shell", u.Shell}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	return args
}

// flags are the arguments of groupadd and groupmod, without the name.
func (g Group) flags(create bool) []string {
	var args []string
	if g.GID != nil {
		args = append(args, "--gid", strconv.Itoa(*g.GID))
	}
	if g.PasswordHash != nil {
		args = append(args, "--password", orLocked(*g.PasswordHash))
	}
	if create && g.System {
		args = append(args, "--system")
	}
	return args
}

func orLocked(hash string) string {
	if hash == "" {
		return locked
	}
	return hash
}
