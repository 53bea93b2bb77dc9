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
	path := text.At(e.Line, e.Column)
	if known, ok := words[e.Message]; ok {
		e.Message = known[0]
	}
	if key, ok := strings.CutPrefix(e.Message, "Config has unrecognized key: "); ok {
		e.Message = "unused key " + key
	}
	p := provision.Sentence(text.Value, path, e.Message, text.Position)
	p.Position = provision.Position{File: text.File(), Line: e.Line, Column: e.Column}
	if e.Line == 0 {
		p.Position = text.Position(path)
	}
	if at, ok := text.Fault(path, e.Message); ok {
		p.Position = at
	}
	if path != nil {
		p.Path = path.String()
	}
	if known := remedy(e.Message); p.Remedy == "" {
		p.Remedy = known
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
	"no filesystem specified":                                         {"the file system is missing", "write filesystem: root"},
	"window-start and window-length must both be specified":           {"of window_start and window_length one is missing", "give both or neither"},
	"only one of the following can be set: local, inline, remote.url": {"there is more than one of inline, local and remote", "keep one"},
	"invalid dimension (finest granularity is 1MiB)":                  {"the size is no whole number of MiB", "write it as 512MiB or 10GiB"},
	"mode unspecified for file, defaulting to 0644":                   {"the mode is missing and becomes 0644", "write mode: 0644"},
	"mode unspecified for directory, defaulting to 0755":              {"the mode is missing and becomes 0755", "write mode: 0755"},
}

// remedy is what to do about a message, in ct's words or ours.
func remedy(message string) string {
	for _, w := range words {
		if w[0] == message {
			return w[1]
		}
	}
	switch {
	case strings.HasPrefix(message, "units: "):
		return "write it as 512MiB or 10GiB"
	case strings.Contains(message, "--files-dir"):
		return "name the folder with --files-dir"
	}
	return ""
}
