package unitcheck

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Words that values of a kind are made of.
var words = map[string][]string{
	"BOOLEAN":            {"1", "yes", "y", "true", "t", "on", "0", "no", "n", "false", "f", "off"},
	"SERVICETYPE":        {"simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"},
	"SERVICERESTART":     {"no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"},
	"SERVICERESTARTMODE": {"normal", "direct", "debug"},
	"SERVICEEXITTYPE":    {"main", "cgroup"},
	"KILLMODE":           {"control-group", "process", "mixed", "none"},
}

var (
	modeRe     = regexp.MustCompile(`^0*[0-7]{1,4}$`)
	numberRe   = regexp.MustCompile(`^(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|[0-9]+)$`)
	timespanRe = regexp.MustCompile(`^(infinity|([0-9]+(\.[0-9]*)?\s*(us|µs|μs|usec|ms|msec|s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days|w|week|weeks|M|month|months|y|year|years)?\s*)+)$`)
	unitNameRe = regexp.MustCompile(`^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.@\\-]*)?\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$`)
)

// valueFault says what a value of a kind should be, if it cannot be read.
// Values with specifiers (%i) are taken as they are.
func valueFault(kind, value string) string {
	if strings.Contains(value, "%") {
		return ""
	}
	if list, ok := words[kind]; ok {
		if slices.Contains(list, value) || kind == "BOOLEAN" && slices.Contains(list, strings.ToLower(value)) {
			return ""
		}
		if kind == "BOOLEAN" {
			return "yes or no"
		}
		return "one of " + strings.Join(list, ", ")
	}
	switch kind {
	case "MODE":
		if looksOctal(value) && !modeRe.MatchString(value) {
			return "a mode in octal, such as 0755"
		}
	case "UNSIGNED":
		if !numberRe.MatchString(value) {
			return "a whole number"
		}
	case "SECONDS":
		if !timespanRe.MatchString(value) {
			return "a time, such as 90 or 1min 30s"
		}
	case "UNIT [...]":
		return unitsFault(value)
	}
	return ""
}

// looksOctal keeps words that some modes are from being read as numbers.
func looksOctal(value string) bool { return value != "" && value[0] >= '0' && value[0] <= '9' }

func unitsFault(value string) string {
	for _, name := range strings.Fields(value) {
		if !unitNameRe.MatchString(strings.Trim(name, `"`)) {
			return "names of units with their suffix, such as network-online.target"
		}
	}
	return ""
}

// isUnit tells whether a name is one of a unit.
func isUnit(name string) bool { return unitNameRe.MatchString(name) && path.Ext(name) != "" }
