package clc

import (
	"fmt"
	"regexp"
	"strings"

	"wellcar.dev/internal/provision"
)

// What ct tells of the whole text and not of an element.
var (
	nowhereRe = regexp.MustCompile(`^(File|Directory|Link) "(.*)" references nonexistent filesystem "(.*)"\. `)
	shadowsRe = regexp.MustCompile(`^Filesystem "(.*)" shadows exising filesystem definition$`)
	versionRe = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

var lists = map[string]string{"File": "files", "Directory": "directories", "Link": "links"}

// unplaced finds the element that a finding about the whole text means.
func unplaced(text provision.YAML, message string) (at provision.Path, p provision.Problem, ok bool) {
	if m := nowhereRe.FindStringSubmatch(message); m != nil {
		at = entry(text, provision.Path{"storage", lists[m[1]]}, map[string]string{"path": m[2], "filesystem": m[3]})
		p.Message = fmt.Sprintf("%s %s: there is no file system %s here", strings.ToLower(m[1]), m[2], m[3])
		p.Remedy = "write filesystem: root, or name it under storage.filesystems if no other config does"
		return append(at, "filesystem"), p, at != nil
	}
	if m := shadowsRe.FindStringSubmatch(message); m != nil {
		at = entry(text, provision.Path{"storage", "filesystems"}, map[string]string{"name": m[1]})
		p.Message, p.Remedy = fmt.Sprintf("file system %s: the name is given twice, or is root, which is there already", m[1]), "give it another name"
		return append(at, "name"), p, at != nil
	}
	return nil, p, false
}

// entry leads to the last entry of a list that has these fields, nil if there
// is none.
func entry(text provision.YAML, list provision.Path, fields map[string]string) provision.Path {
	var found provision.Path
	entries, _ := text.Get(list).([]any)
	for i, e := range entries {
		e, _ := e.(map[string]any)
		same := true
		for name, want := range fields {
			got, _ := e[name].(string)
			same = same && got == want
		}
		if same {
			found = append(list[:len(list):len(list)], i)
		}
	}
	return found
}

// badVersions are versions of programs that ct cannot read; it says neither
// which nor where.
func badVersions(text provision.YAML) provision.Report {
	var out provision.Report
	for program, newest := range map[string]string{"etcd": "3.5.0", "flannel": "0.7.0"} {
		at := provision.Path{program, "version"}
		value := text.Get(at)
		if value == nil || versionRe.MatchString(fmt.Sprint(value)) {
			continue
		}
		out = append(out, provision.Problem{Severity: provision.Error, Position: text.Position(at), Path: at.String(),
			Message: fmt.Sprintf("%s: %v is no version of three numbers", at, value), Remedy: fmt.Sprintf("write it as %q", newest)})
	}
	return out.Sorted()
}

// filesystem names a file system as Container Linux Configs do: by its own
// name, or its device.
func filesystem(text provision.YAML, message string) string {
	i := 0
	before, rest, ok := strings.Cut(message, "file system on without device (storage.filesystems[")
	if n, err := fmt.Sscanf(rest, "%d])", &i); !ok || n != 1 || err != nil {
		return message
	}
	_, rest, _ = strings.Cut(rest, "])")
	at := provision.Path{"storage", "filesystems", i}
	if name, _ := text.Get(append(at, "name")).(string); name != "" {
		return before + "file system " + name + rest
	}
	if device, _ := text.Get(append(at[:3:3], "mount", "device")).(string); device != "" {
		return before + "file system on " + device + rest
	}
	return message
}

// within leads from a unit of networkd to the field that a finding is about.
func within(path provision.Path, message string) provision.Path {
	if n := len(path); n < 3 || path[0] != "networkd" || n != 3 && n != 5 {
		return path
	}
	switch {
	case strings.HasPrefix(message, "invalid unit content: "):
		return append(path, "contents")
	case strings.HasPrefix(message, "invalid networkd "):
		return append(path, "name")
	}
	return path
}
