package unitcheck

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Words of values whose kind does not tell them, beside yes and no where
// systemd takes these.
var choices = map[string][]string{
	"ProtectSystem": append([]string{"full", "strict"}, words["BOOLEAN"]...),
	"ProtectHome":   append([]string{"read-only", "tmpfs"}, words["BOOLEAN"]...),
	"PrivateTmp":    append([]string{"disconnected"}, words["BOOLEAN"]...),
	"StandardInput": {"null", "tty", "tty-force", "tty-fail", "socket", "fd", "data", "file"},
}

// Beginnings of StandardOutput= and StandardError=, up to a colon.
var outputs = []string{
	"inherit", "null", "tty", "journal", "syslog", "kmsg", "journal+console", "syslog+console", "kmsg+console", "socket", "fd", "file", "append", "truncate",
}

var (
	memoryRe = regexp.MustCompile(`^(infinity|max|[0-9]+(\.[0-9]+)?\s*[%‰‱]|([0-9]+(\.[0-9]*)?\s*[EPTGMKB]?\s*)+)$`)
	quotaRe  = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?[%‰‱]$`)
	plainRe  = regexp.MustCompile(`^[-+]?[0-9]+$`)
	pathRe   = regexp.MustCompile(`^(Condition|Assert)(Path|Directory|File)[A-Z]`)
)

// nameFault says what the value of a name should be, if systemd cannot read
// it: for names whose kind says too little. Values with specifiers are taken.
func nameFault(kind, name, value string) string {
	if strings.Contains(value, "%") && !quotaRe.MatchString(value) && name != "CPUQuota" {
		return ""
	}
	list := choices[name]
	switch {
	case list != nil:
		word, _, _ := strings.Cut(value, ":")
		if !slices.Contains(list, word) && !slices.Contains(list, strings.ToLower(word)) {
			return "yes, no or one of " + strings.Join(slices.DeleteFunc(slices.Clone(list), isBoolean), ", ")
		}
	case kind == "OUTPUT":
		if word, _, _ := strings.Cut(value, ":"); !slices.Contains(outputs, word) {
			return "one of " + strings.Join(outputs, ", ")
		}
	case kind == "LIMIT" && strings.Contains(name, "Memory"):
		if !memoryRe.MatchString(value) {
			return "a size, such as 512M, a share such as 50%, or infinity"
		}
	case name == "CPUQuota":
		if !quotaRe.MatchString(value) {
			return "a share of one processor, such as 20% or 150%"
		}
	case kind == "NICE":
		return outside(value, -20, 19)
	case kind == "OOMSCOREADJUST":
		return outside(value, -1000, 1000)
	}
	return pathFault(kind, name, value)
}

func isBoolean(word string) bool { return slices.Contains(words["BOOLEAN"], word) }

func outside(value string, least, most int) string {
	n, err := strconv.Atoi(value)
	if plainRe.MatchString(value) && (err != nil || n < least || n > most) {
		return "a number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
	}
	return ""
}

// pathFault is about paths that have to be absolute.
func pathFault(kind, name, value string) string {
	switch {
	case kind == "ENVIRON":
		return environmentFault(value)
	case kind == "FILE" && name == "EnvironmentFile", name == "WorkingDirectory":
		value = strings.TrimPrefix(value, "-")
	case kind == "CONDITION" && pathRe.MatchString(name):
		value = strings.TrimLeft(value, "|! ")
	default:
		return ""
	}
	if value == "" || path.IsAbs(value) || name == "WorkingDirectory" && value == "~" {
		return ""
	}
	return "a path from / on"
}

// environmentFault looks for words of Environment= without a name.
func environmentFault(value string) string {
	for value != "" {
		var word string
		var closed bool
		word, value, closed = cutWord(value)
		if name, _, found := strings.Cut(word, "="); !closed || word != "" && (!found || name == "") {
			return `NAME=value, in quotes if it has blanks: "NAME=a b"`
		}
	}
	return ""
}
