package main

import (
	"fmt"
	"slices"
	"strings"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/provision"
)

// cloudStep is one thing that coreos-cloudinit would do.
type cloudStep struct {
	Do     string `json:"do"`
	Name   string `json:"name,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// cloudPlan prints what coreos-cloudinit would do with user data, at every
// boot.
func (p *printer) cloudPlan(s source) error {
	var steps []cloudStep
	for _, part := range s.cloud.Parts {
		switch {
		case part.Config != nil:
			steps = append(steps, cloudSteps(*part.Config)...)
		case part.Script != nil:
			steps = append(steps, cloudStep{"run script", part.Name, fmt.Sprintf("%d bytes", len(part.Script))})
		}
	}
	rows := make([][]string, 0, len(steps))
	for i, step := range steps {
		rows = append(rows, []string{fmt.Sprint(i + 1), step.Do, step.Name, step.Detail})
	}
	var b strings.Builder
	provision.WriteTable(&b, rows)
	b.WriteString("\ncoreos-cloudinit does this at every boot; Ignition does nothing")
	p.result("plan", map[string]any{"cloudinit": steps}, b.String())
	return nil
}

func cloudSteps(c cloudinit.Config) []cloudStep {
	var out []cloudStep
	add := func(do, name, detail string) { out = append(out, cloudStep{do, name, detail}) }
	if c.Hostname != "" {
		add("set the host name", c.Hostname, "")
	}
	for _, u := range c.Users {
		add("make or change user", u.Name, userDetail(u))
	}
	if n := len(c.SSHAuthorizedKeys); n > 0 {
		add("authorize for core", fmt.Sprint(n, " SSH keys"), "")
	}
	for _, f := range c.WriteFiles {
		add("write file", f.Path, fileDetail(f))
	}
	if c.ManageEtcHosts != "" {
		add("write file", "/etc/hosts", "the host name at "+c.ManageEtcHosts)
	}
	if u := c.CoreOS.Update; u != (cloudinit.Update{}) || len(c.CoreOS.Locksmith) > 0 {
		add("write file", "/etc/flatcar/update.conf", "")
	}
	for name, section := range map[string]map[string]string{"etcd": c.CoreOS.Etcd, "etcd2": c.CoreOS.Etcd2, "fleet": c.CoreOS.Fleet, "flanneld": c.CoreOS.Flannel} {
		if len(section) > 0 {
			add("write drop-in", name+".service", fmt.Sprint(len(section), " variables"))
		}
	}
	for _, u := range c.CoreOS.Units {
		out = append(out, unitSteps(u)...)
	}
	return slices.Clip(out)
}

func userDetail(u cloudinit.User) string {
	var words []string
	if len(u.Groups) > 0 {
		words = append(words, "groups "+strings.Join(u.Groups, " "))
	}
	if n := len(u.SSHAuthorizedKeys); n > 0 {
		words = append(words, fmt.Sprint(n, " SSH keys"))
	}
	if u.Passwd != "" {
		words = append(words, "password")
	}
	return strings.Join(words, ", ")
}

func fileDetail(f cloudinit.File) string {
	mode, owner := f.Permissions, f.Owner
	if mode == "" {
		mode = "0644"
	}
	if owner == "" {
		owner = "root"
	}
	return fmt.Sprintf("%s %s, %d bytes", mode, owner, len(f.Content))
}

func unitSteps(u cloudinit.Unit) []cloudStep {
	var out []cloudStep
	for _, d := range u.DropIns {
		out = append(out, cloudStep{"write drop-in", u.Name + ".d/" + d.Name, fmt.Sprint(len(d.Content), " bytes")})
	}
	if u.Content != "" {
		out = append(out, cloudStep{"write unit", u.Name, fmt.Sprint(len(u.Content), " bytes")})
	}
	if u.Mask {
		out = append(out, cloudStep{"mask unit", u.Name, ""})
	}
	if u.Enable {
		out = append(out, cloudStep{"enable unit", u.Name, ""})
	}
	if u.Command != "" {
		out = append(out, cloudStep{u.Command + " unit", u.Name, ""})
	}
	return out
}
