package main

import (
	"fmt"
	"strconv"
	"strings"

	"wellcar.dev/internal/cloudinit"
	"wellcar.dev/internal/provision"
)

// cloudStep is one thing that coreos-cloudinit would do.
type cloudStep struct {
	At     provision.Position `json:"at,omitzero"`
	Do     string             `json:"do"`
	Name   string             `json:"name,omitempty"`
	Detail string             `json:"detail,omitempty"`
}

// cloudPlan prints what coreos-cloudinit would do with user data, at every
// boot.
func (p *printer) cloudPlan(s source) error {
	var steps []cloudStep
	for _, part := range s.cloud.Parts {
		switch {
		case part.Config != nil:
			steps = append(steps, cloudSteps(part)...)
		case part.Script != nil:
			steps = append(steps, cloudStep{provision.Position{File: s.name}, "run script", part.Name, provision.NewContent(part.Script).String()})
		}
	}
	rows := make([][]string, 0, len(steps))
	for i, step := range steps {
		rows = append(rows, []string{fmt.Sprint(i + 1), step.At.String(), step.Do, step.Name, step.Detail})
	}
	var b strings.Builder
	provision.WriteTable(&b, rows)
	b.WriteString("\ncoreos-cloudinit does this at every boot; Ignition does nothing")
	p.result("plan", map[string]any{"cloudinit": steps}, b.String())
	return nil
}

// cloudPosition is the place of a value of a cloud-config.
func cloudPosition(p cloudinit.Places, name string) provision.Position {
	file, line, column := p.At(name)
	return provision.Position{File: file, Line: line, Column: column}
}

// addStep notes a step that the value at a place of the text asks for.
type addStep func(at, do, name, detail string)

// cloudSteps are in the order in which coreos-cloudinit does them.
func cloudSteps(part cloudinit.Part) []cloudStep {
	var out []cloudStep
	add := func(at, do, name, detail string) {
		out = append(out, cloudStep{cloudPosition(part.Places, at), do, name, detail})
	}
	accountSteps(add, *part.Config)
	fileSteps(add, *part.Config)
	for i, u := range part.Config.CoreOS.Units {
		unitSteps(add, fmt.Sprintf("coreos.units[%d]", i), u)
	}
	programSteps(add, part.Config.CoreOS)
	return out
}

func accountSteps(add addStep, c cloudinit.Config) {
	if c.Hostname != "" {
		add("hostname", "set the host name", c.Hostname, "")
	}
	if n := len(c.SSHAuthorizedKeys); n > 0 {
		add("ssh_authorized_keys", "authorize for core", count(n, "SSH key"), "")
	}
	for i, u := range c.Users {
		add(fmt.Sprintf("users[%d]", i), "make or change user", u.Name, userDetail(u))
	}
}

func fileSteps(add addStep, c cloudinit.Config) {
	for i, f := range c.WriteFiles {
		add(fmt.Sprintf("write_files[%d]", i), "write file", f.Path, fileDetail(f))
	}
	if c.CoreOS.OEM.ID != "" {
		add("coreos.oem", "write file", "/etc/oem-release", "")
	}
	if c.CoreOS.Update != (cloudinit.Update{}) {
		add("coreos.update", "write file", "/etc/flatcar/update.conf", "")
	}
	if c.ManageEtcHosts != "" {
		add("manage_etc_hosts", "write file", "/etc/hosts", "the host name at "+c.ManageEtcHosts)
	}
	if n := len(c.CoreOS.Flannel); n > 0 {
		add("coreos.flannel", "write file", "/run/flannel/options.env", count(n, "variable"))
	}
}

// programSteps are the units that sections of programs change.
func programSteps(add addStep, c cloudinit.CoreOS) {
	for _, s := range []struct {
		key, unit string
		values    map[string]string
	}{{"etcd", "etcd", c.Etcd}, {"etcd2", "etcd2", c.Etcd2}, {"fleet", "fleet", c.Fleet}, {"locksmith", "locksmithd", c.Locksmith}} {
		if n := len(s.values); n > 0 {
			add("coreos."+s.key, "write drop-in", s.unit+".service.d/20-cloudinit.conf", count(n, "variable"))
		}
	}
	switch c.Update.RebootStrategy {
	case "":
	case "off":
		add("coreos.update.reboot_strategy", "mask unit", "locksmithd.service", "until the next boot")
		add("coreos.update.reboot_strategy", "stop unit", "locksmithd.service", "")
	default:
		add("coreos.update.reboot_strategy", "restart unit", "locksmithd.service", "")
	}
	if c.Update.Group != "" || c.Update.Server != "" {
		add("coreos.update", "restart unit", "update-engine.service", "")
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func userDetail(u cloudinit.User) string {
	var words []string
	if len(u.Groups) > 0 {
		words = append(words, "groups "+strings.Join(u.Groups, " "))
	}
	if n := len(u.SSHAuthorizedKeys); n > 0 {
		words = append(words, count(n, "SSH key"))
	}
	if u.Passwd != "" {
		words = append(words, "password")
	}
	return strings.Join(words, ", ")
}

// fileDetail has the mode in four digits, as it will be set.
func fileDetail(f cloudinit.File) string {
	mode, owner := "0644", f.Owner
	if bits, err := strconv.ParseUint(f.Permissions, 8, 32); err == nil {
		mode = fmt.Sprintf("%04o", bits)
	}
	if owner == "" {
		owner = "root"
	}
	return fmt.Sprintf("%s %s, %v", mode, owner, provision.NewContent([]byte(f.Content)))
}

func unitSteps(add addStep, at string, u cloudinit.Unit) {
	for i, d := range u.DropIns {
		add(fmt.Sprintf("%s.drop_ins[%d]", at, i), "write drop-in", u.Name+".d/"+d.Name, provision.NewContent([]byte(d.Content)).String())
	}
	if u.Content != "" {
		add(at, "write unit", u.Name, provision.NewContent([]byte(u.Content)).String())
	}
	if u.Mask {
		add(at+".mask", "mask unit", u.Name, "")
	}
	if u.Enable {
		add(at+".enable", "enable unit", u.Name, "")
	}
	if u.Command != "" {
		add(at+".command", u.Command+" unit", u.Name, "")
	}
}
