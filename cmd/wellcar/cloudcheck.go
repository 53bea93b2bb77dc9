package main

import (
	"fmt"
	"strconv"
	"strings"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/provision"
)

// checkCloud looks at what the text of a cloud-config cannot show by itself.
func checkCloud(data cloudinit.UserData) provision.Report {
	var out provision.Report
	facts := provision.DefaultFacts()
	for _, part := range data.Parts {
		if part.Config != nil {
			out = append(out, checkOwners(part, facts)...)
		}
	}
	return out
}

// checkOwners finds owners of files that neither the image nor the user data
// knows.
func checkOwners(part cloudinit.Part, facts provision.Facts) provision.Report {
	made := map[string]bool{}
	for _, u := range part.Config.Users {
		made[u.Name] = true
	}
	var out provision.Report
	for i, f := range part.Config.WriteFiles {
		user, group, _ := strings.Cut(f.Owner, ":")
		if strings.Contains(f.Owner, ".") {
			continue // chown takes USER.GROUP too
		}
		_, isUser := facts.Users[user]
		_, isGroup := facts.Groups[group]
		what := ""
		switch {
		case !isUser && !made[user] && !numeric(user):
			what = "user " + user
		case !isGroup && !made[group] && !numeric(group):
			what = "group " + group
		default:
			continue
		}
		out = append(out, provision.Problem{Severity: provision.Warning, Position: cloudPosition(part.Places, fmt.Sprintf("write_files[%d].owner", i)),
			Message: fmt.Sprintf("file %s: there is no %s in the image or under users, so nothing after this file is done", f.Path, what),
			Remedy:  "correct the owner, or make it under users"})
	}
	return out
}

// numeric is an id, or nothing at all.
func numeric(name string) bool {
	_, err := strconv.ParseUint(name, 10, 32)
	return name == "" || err == nil
}
