package cloudinit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	environmentFile = "/etc/environment"
	updateConf      = "/etc/flatcar/update.conf"
	shippedConf     = "/usr/share/flatcar/update.conf"
)

// files are those of write_files, and what other keys make files of.
func (m Machine) files(c Config) ([]File, error) {
	files := append([]File(nil), c.WriteFiles...)
	if o := c.CoreOS.OEM; o.ID != "" {
		files = append(files, File{Path: "/etc/oem-release", Content: fmt.Sprintf(
			"ID=%s\nVERSION_ID=%s\nNAME=%q\nHOME_URL=%q\nBUG_REPORT_URL=%q\n", o.ID, o.VersionID, o.Name, o.HomeURL, o.BugReportURL)})
	}
	if c.CoreOS.Update != (Update{}) {
		old, err := m.updateConf()
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: updateConf, Content: c.CoreOS.Update.merge(old)})
	}
	if c.ManageEtcHosts == "localhost" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("asking for the host name: %w", err)
		}
		files = append(files, File{Path: "/etc/hosts", Content: "127.0.0.1 " + name + "\n"})
	}
	if vars := variables("flannel", c.CoreOS.Flannel); len(vars) > 0 {
		files = append(files, File{Path: "/run/flannel/options.env", Content: strings.Join(vars, "\n") + "\n"})
	}
	return files, nil
}

func (m Machine) updateConf() (string, error) {
	for _, name := range []string{updateConf, shippedConf} {
		data, err := os.ReadFile(m.path(name))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return string(data), err
		}
	}
	return "", nil
}

// merge sets the values in the text of update.conf.
func (u Update) merge(old string) string {
	return mergeVariables(old, map[string]string{"REBOOT_STRATEGY": u.RebootStrategy, "GROUP": u.Group, "SERVER": u.Server})
}

// mergeVariables replaces the lines of variables, and adds those that the
// text has not. Variables without a value stay as they are.
func mergeVariables(old string, values map[string]string) string {
	left := maps.Clone(values)
	maps.DeleteFunc(left, func(_, v string) bool { return v == "" })
	var b strings.Builder
	for line := range strings.Lines(old) {
		line = strings.TrimRight(line, "\r\n")
		name, _, ok := strings.Cut(line, "=")
		if value, set := left[name]; ok && set {
			line = name + "=" + value
			delete(left, name)
		}
		b.WriteString(line + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		b.WriteString(name + "=" + left[name] + "\n")
	}
	return b.String()
}

// environment keeps what is known of the machine's addresses in
// /etc/environment.
func (m Machine) environment(values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	old, err := os.ReadFile(m.path(environmentFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", environmentFile, err)
	}
	text := mergeVariables(string(old), values)
	if text == string(old) {
		return nil
	}
	if err := os.WriteFile(m.path(environmentFile), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", environmentFile, err)
	}
	return nil
}

// prefixes of the variables that the sections of programs become, and the
// keys that do not follow the rule PREFIX_KEY.
var (
	prefixes = map[string]string{"etcd": "ETCD_", "etcd2": "ETCD_", "fleet": "FLEET_", "flannel": "FLANNELD_", "locksmith": "LOCKSMITHD_"}
	odd      = map[string]string{
		"locksmith window_start": "REBOOT_WINDOW_START", "locksmith window_length": "REBOOT_WINDOW_LENGTH",
		"flannel interface": "FLANNELD_IFACE", "etcd snapshot_count": "ETCD_SNAPSHOTCOUNT",
	}
)

// variables are the lines NAME=value of a section, sorted.
func variables(section string, values map[string]string) []string {
	var lines []string
	for key, value := range values {
		name, ok := odd[section+" "+key]
		if !ok {
			name = prefixes[section] + strings.ToUpper(key)
		}
		if value != "" {
			lines = append(lines, name+"="+value)
		}
	}
	slices.Sort(lines)
	return lines
}

var quoted = regexp.MustCompile(`["\\]`)

// dropIn is a drop-in that sets the variables of a section; nil: it has none.
func dropIn(section string, values map[string]string) []DropIn {
	lines := variables(section, values)
	if len(lines) == 0 {
		return nil
	}
	text := "[Service]\n"
	for _, l := range lines {
		text += `Environment="` + quoted.ReplaceAllString(l, `\$0`) + "\"\n"
	}
	return []DropIn{{"20-cloudinit.conf", text}}
}

// systemUnits are the units that sections of programs change.
func systemUnits(c CoreOS) []Unit {
	var units []Unit
	for _, s := range []struct {
		section, unit string
		values        map[string]string
	}{{"etcd", "etcd.service", c.Etcd}, {"etcd2", "etcd2.service", c.Etcd2}, {"fleet", "fleet.service", c.Fleet}, {"locksmith", "locksmithd.service", c.Locksmith}} {
		if d := dropIn(s.section, s.values); d != nil {
			units = append(units, Unit{Name: s.unit, Runtime: true, DropIns: d})
		}
	}
	if s := c.Update.RebootStrategy; s != "" {
		u := Unit{Name: "locksmithd.service", Command: "restart", Runtime: true}
		if s == "off" {
			u.Command, u.Mask = "stop", true
		}
		units = append(units, u)
	}
	if c.Update.Group != "" || c.Update.Server != "" {
		units = append(units, Unit{Name: "update-engine.service", Command: "restart"})
	}
	return units
}
