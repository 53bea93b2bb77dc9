package clc

import (
	"strings"

	"github.com/flatcar/ignition/config/validate/report"

	"wellcar.dev/internal/provision"
)

// convert turns the findings of ct into problems of ours.
func convert(text provision.YAML, found report.Report) provision.Report {
	var out provision.Report
	for _, e := range found.Entries {
		out = append(out, problem(text, e))
	}
	return out
}

// later drops from the findings of a translation that went well those that
// reading the Ignition config tells again.
func later(found report.Report) report.Report {
	if found.IsFatal() {
		return found
	}
	var out report.Report
	for _, e := range found.Entries {
		if !strings.HasSuffix(e.Message, "has no install section so enable does nothing") {
			out.Add(e)
		}
	}
	return out
}

func problem(text provision.YAML, e report.Entry) provision.Problem {
	if path, p, ok := unplaced(text, e.Message); ok {
		p.Severity, p.Path, p.Position = severity(e), path.String(), text.Position(path)
		return p
	}
	path := within(text.At(e.Line, e.Column), e.Message)
	known := words[e.Message]
	if known[0] != "" {
		e.Message = known[0]
	}
	if key, ok := strings.CutPrefix(e.Message, "Config has unrecognized key: "); ok {
		e.Message = "unused key " + key
	}
	p := provision.Sentence(text.Value, path, e.Message, text.Position)
	p.Message = filesystem(text, p.Message)
	p.Position = provision.Position{File: text.File(), Line: e.Line, Column: e.Column}
	if path != nil {
		p.Position = text.Position(path)
	}
	if at, ok := text.Fault(path, e.Message); ok {
		p.Position = at
	}
	if path != nil {
		p.Path = path.String()
	}
	if p.Remedy == "" {
		p.Remedy = known[1]
	}
	if p.Remedy == "" {
		p.Remedy = remedy(e.Message)
	}
	p.Severity = severity(e)
	return p
}

func severity(e report.Entry) provision.Severity {
	switch e.Kind {
	case report.EntryError:
		return provision.Error
	case report.EntryInfo:
		return provision.Info
	}
	return provision.Warning
}

// What ct says, in words that name what is wrong.
var words = map[string][2]string{
	"unknown update group":         {"the group is none of stable, beta and alpha, and there is no server", "give server, or one of the groups"},
	"unknown reboot strategy":      {"the reboot strategy is not known", "write reboot, etcd-lock or off"},
	"couldn't parse window start":  {"window_start is no time", "write HH:MM, or Day HH:MM as Thu 04:00"},
	"unknown day in window start":  {"window_start begins with no day", "write Sun, Mon, Tue, Wed, Thu, Fri or Sat"},
	"couldn't parse window length": {"window_length is no duration", "write it as 1h or 90m"},
	"the create object has been deprecated in favor of user-level options":  {"create is the older form", "move its keys up and drop it"},
	"the create object has been deprecated in favor of mount-level options": {"create is the older form", "write wipe_filesystem and options under mount"},
	"no filesystem specified":                                                                                        {"the file system is missing", "write filesystem: root"},
	"window-start and window-length must both be specified":                                                          {"of window_start and window_length one is missing", "give both or neither"},
	"only one of the following can be set: local, inline, remote.url":                                                {"there is more than one of inline, local and remote", "keep one"},
	"invalid dimension (finest granularity is 1MiB)":                                                                 {"the size is no whole number of MiB", "write it as 512MiB or 10GiB"},
	"mode unspecified for file, defaulting to 0644":                                                                  {"the mode is missing and becomes 0644", "write mode: 0644"},
	"Etcd version specified is not valid (too old)":                                                                  {"the version is older than 2.3.0, the oldest that can be translated", "write 3.5.0"},
	"Etcd minor version specified is too new, only options available in the previous minor version will be accepted": {"the version is newer than those that are known (2.3, and 3.0 to 3.5)", "use the options of those"},
	"Etcd version is not valid (too new)":                                                                            {"there is no such version of etcd", "write 3.5.0"},
	"invalid flannel version (too old)":                                                                              {"the version is older than 0.5.0, the oldest that can be translated", "write 0.7.0"},
	"flannel minor version too new. Only options available in the previous minor version will be supported":          {"the version is newer than those that are known (0.5 to 0.7)", "use the options of those"},
	"flannel network config doesn't appear to be valid JSON":                                                         {"the value is no JSON", `write it as '{"Network": "10.0.0.0/16"}'`},
	"flannel network config cannot be provided if kube_subnet_mgr is set":                                            {"network_config stands beside kube_subnet_mgr: true", "keep one of the two"},
	"Invalid version. Only version 0 is supported":                                                                   {"Container Linux Configs have no version but 0", "drop version; Butane begins with variant: flatcar"},
	"invalid networkd unit extension":                                                                                {"the name has no suffix of a network unit", "end it with .network, .netdev or .link"},
	"invalid networkd drop-in extension":                                                                             {"the name of a drop-in does not end in .conf", "rename it to NAME.conf"},
	"invalid compression method":                                                                                     {"unknown compression", "write gzip, or leave it out"},
	"filesystem is missing mount or path":                                                                            {"it has neither mount nor path", "give one of the two"},
	"filesystem has both mount and path defined":                                                                     {"it has both mount and path", "keep one of the two"},
	"cannot use both create object and mount-level options field":                                                    {"it has options in mount and in create", "move them to mount, and drop create"},
	"cannot use both create object and wipeFilesystem field":                                                         {"it has both create and wipe_filesystem", "drop create"},
	"cannot set both append and overwrite to true":                                                                   {"it has both append and overwrite", "keep one of the two"},
	"mode unspecified for directory, defaulting to 0755":                                                             {"the mode is missing and becomes 0755", "write mode: 0755"},
}

// remedy is what to do about a message with a part that differs.
func remedy(message string) string {
	switch {
	case strings.HasPrefix(message, "units: "):
		return "write it as 512MiB or 10GiB"
	case strings.HasPrefix(message, "invalid dimension"):
		return "write it as 512MiB or 10GiB"
	case strings.Contains(message, "parse \""):
		return "write it as https://HOST/PATH, with a space as %20"
	case strings.Contains(message, "--files-dir"):
		return "name the folder with --files-dir"
	}
	return ""
}
