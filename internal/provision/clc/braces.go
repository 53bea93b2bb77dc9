package clc

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/flatcar/container-linux-config-transpiler/config/templating"
	"github.com/flatcar/container-linux-config-transpiler/config/types"
	"github.com/flatcar/ignition/config/validate/report"

	"wellcar.dev/internal/provision"
)

// Sections whose values may have others in braces, as {PRIVATE_IPV4}, but for
// the key that is JSON.
var templated = []string{"etcd", "flannel"}

const notTemplated = "network_config"

var (
	braceRe    = regexp.MustCompile(`\{[^{}]*\}`)
	braceNames = []string{"{HOSTNAME}", "{PRIVATE_IPV4}", "{PUBLIC_IPV4}", "{PRIVATE_IPV6}", "{PUBLIC_IPV6}"}
)

// braceFault tells whether a finding is about values in braces; ct says
// neither which ones nor where.
func braceFault(e report.Entry) bool {
	return slices.Contains([]string{types.ErrPlatformUnspecified.Error(), templating.ErrUnknownPlatform.Error(), templating.ErrUnknownField.Error()}, e.Message)
}

// braces finds the values in braces that a platform does not have.
func braces(text provision.YAML, platform string) provision.Report {
	var out provision.Report
	root, _ := text.Value.(map[string]any)
	for _, section := range templated {
		values, _ := root[section].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			value, ok := values[key].(string)
			if !ok || key == notTemplated || !strings.ContainsAny(value, "{}") {
				continue
			}
			at := provision.Path{section, key}
			if p := braceProblem(at.String(), value, platform); p.Message != "" {
				p.Severity, p.Path, p.Position = provision.Error, at.String(), text.Position(at)
				out = append(out, p)
			}
		}
	}
	return out.Sorted()
}

// braceProblem has no message if the platform has all values.
func braceProblem(at, value, platform string) provision.Problem {
	found := braceRe.FindAllString(value, -1)
	if len(found) == 0 {
		found = []string{value} // a brace without the other
	}
	if platform == "" {
		return provision.Problem{Message: fmt.Sprintf("%s: there is no platform to take %s from", at, found[0]), Remedy: "name the platform with --platform"}
	}
	known := slices.DeleteFunc(slices.Clone(braceNames), func(name string) bool { return !has(platform, name) })
	for _, f := range found {
		switch {
		case len(known) == 0:
			return provision.Problem{Message: fmt.Sprintf("%s: %s is not known on platform %s", at, f, platform), Remedy: "write the value itself, or name another platform with --platform"}
		case !has(platform, f):
			return provision.Problem{Message: fmt.Sprintf("%s: %s is not known on platform %s", at, f, platform), Remedy: "use " + strings.Join(known, ", ") + ", or write the value itself"}
		}
	}
	return provision.Problem{}
}

// has asks ct whether a platform has a value.
func has(platform, value string) bool {
	_, err := templating.PerformTemplating(platform, []string{value})
	return err == nil
}
