package main

import (
	"fmt"
	"strconv"
	"strings"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/preview"
)

// checkCloud looks at what the text of a cloud-config cannot show by itself.
func checkCloud(data cloudinit.UserData, image *preview.Image) provision.Report {
	var out provision.Report
	facts := provision.DefaultFacts()
	if len(data.Parts) > 1 {
		image = nil // another part may bring what is not there
	}
	for _, part := range data.Parts {
		if part.Config != nil {
			out = append(out, checkOwners(part, facts)...)
			out = append(out, checkCloudUnits(part, image)...)
		}
	}
	return out
}

// checkCloudUnits looks at units as systemd would.
func checkCloudUnits(part cloudinit.Part, image *preview.Image) provision.Report {
	return preview.CheckUnitsAt(ignitionLike(*part.Config), image, func(at provision.Path, line int) provision.Position {
		name := strings.NewReplacer("systemd.units", "coreos.units", "contents", "content", "dropins", "drop_ins").Replace(at.String())
		file, n, column := part.Places.Within(name, line)
		return provision.Position{File: file, Line: n, Column: column}
	})
}

// ignitionLike is the files and units of a cloud-config. Units of networkd,
// which systemd does not read, keep their place in the list.
func ignitionLike(c cloudinit.Config) types.Config {
	var out types.Config
	for _, f := range c.WriteFiles {
		out.Storage.Files = append(out.Storage.Files, types.File{Node: types.Node{Path: f.Path}})
	}
	for _, u := range c.CoreOS.Units {
		unit := types.Unit{Name: u.Name}
		if !u.Network() {
			unit.Contents = &u.Content
			for _, d := range u.DropIns {
				unit.Dropins = append(unit.Dropins, types.Dropin{Name: d.Name, Contents: &d.Content})
			}
		}
		out.Systemd.Units = append(out.Systemd.Units, unit)
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
