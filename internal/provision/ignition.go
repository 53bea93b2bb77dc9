package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ignition "github.com/coreos/ignition/v2/config"
	ierrors "github.com/coreos/ignition/v2/config/shared/errors"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/coreos/vcontext/report"
	"github.com/coreos/vcontext/tree"

	"wellcar.dev/internal/provision/legacy"
)

// parseIgnition reads Ignition JSON of any spec into c, whose locator is set.
func parseIgnition(c Config, data []byte) (Config, Report) {
	if p := syntaxProblem(c, data); p != nil {
		return c, Report{*p}
	}
	if version := legacy.Version(data); version != "" {
		return parseEarlier(c, data, version)
	}
	if p := versionProblem(c, data); p != nil {
		return c, Report{*p}
	}
	return parseNew(c, data)
}

// parseNew reads Ignition JSON of any 3.x into c.
func parseNew(c Config, data []byte) (Config, Report) {
	cfg, found, err := ignition.Parse(disguise(data))
	out := c.convert(found, data)
	if err != nil {
		if p := typeProblem(c, data, &types.Config{}); p != nil {
			return c, Report{*p}
		}
		if out.Err() == nil {
			out = append(out, Problem{Severity: Error, Message: err.Error(), Position: c.Position()})
		}
		return c, out
	}
	c.Ignition, c.JSON = moveOEM(reveal(cfg)), data
	return c, out
}

// syntaxProblem is non-nil if data is not JSON. Its place is in data itself,
// whatever data was made of.
func syntaxProblem(c Config, data []byte) *Problem {
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return nil
	}
	at := offsetPosition(c.Name, data, syntax.Offset-1)
	return &Problem{Severity: Error, Message: "the text is not valid JSON: " + syntax.Error(), Position: at,
		Remedy: "look for a missing or extra comma, quote or bracket there or just before"}
}

func offsetPosition(name string, data []byte, offset int64) Position {
	before := data[:max(0, min(int(offset), len(data)))]
	line := 1 + strings.Count(string(before), "\n")
	return Position{name, line, len(before) - strings.LastIndex(string(before), "\n")}
}

// versionProblem is non-nil if the spec version is missing or not one we read.
func versionProblem(c Config, data []byte) *Problem {
	var stub struct {
		Old      json.RawMessage `json:"ignitionVersion"`
		Ignition *struct {
			Version *string `json:"version"`
		} `json:"ignition"`
	}
	if json.Unmarshal(data, &stub) != nil {
		return nil // a wrong type: told with its place later
	}
	p := &Problem{Severity: Error, Position: c.Position("ignition", "version"), Path: "ignition.version",
		Remedy: "write a version from 3.0.0 to 3.6.0"}
	switch {
	case stub.Ignition == nil && stub.Old != nil:
		p.Path, p.Position = "ignitionVersion", c.Position("ignitionVersion")
		p.Message = fmt.Sprintf("%s is not a known ignitionVersion", stub.Old)
		p.Remedy = "write 1, or begin a config of a newer spec with " + `{"ignition": {"version": "3.4.0"}}`
	case stub.Ignition == nil || stub.Ignition.Version == nil || *stub.Ignition.Version == "":
		p.Message = "the spec version is missing"
	case strings.HasPrefix(*stub.Ignition.Version, "2."):
		p.Message, p.Remedy = fmt.Sprintf("%q is not a known spec version", *stub.Ignition.Version), "write 2.0.0, 2.1.0, 2.2.0, 2.3.0 or 2.4.0"
	case !knownSpec(*stub.Ignition.Version):
		p.Message = fmt.Sprintf("%q is not a known spec version", *stub.Ignition.Version)
	default:
		return nil
	}
	return p
}

func knownSpec(version string) bool {
	switch version {
	case "3.0.0", "3.1.0", "3.2.0", "3.3.0", "3.4.0", "3.5.0", "3.6.0", "3.7.0-experimental":
		return true
	}
	return false
}

// typeProblem is non-nil if a value has a type that its field in the probe
// cannot take.
func typeProblem(c Config, data []byte, probe any) *Problem {
	var wrong *json.UnmarshalTypeError
	if !errors.As(json.Unmarshal(data, probe), &wrong) {
		return nil
	}
	own, ok := newJSONText(c.Name, data).(jsonText)
	if !ok {
		return nil
	}
	p := own.deepest(wrong.Offset - 1)
	var root any
	json.Unmarshal(data, &root)
	return &Problem{Severity: Error, Position: c.Position(p...), Path: p.String(),
		Message: describe(root, p, fmt.Sprintf("is a JSON %s", wrong.Value)),
		Remedy:  "write " + typeName(wrong.Type.Kind().String())}
}

func typeName(kind string) string {
	switch kind {
	case "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64":
		return "a whole number without quotes (modes in decimal: 420 is 0644)"
	case "bool":
		return "true or false without quotes"
	case "string":
		return "a string in quotes"
	case "slice":
		return "a list: [ ... ]"
	}
	return "an object: { ... }"
}

// convert turns the findings of the upstream packages into problems of ours.
func (c Config) convert(found report.Report, data []byte) Report {
	if len(found.Entries) == 0 {
		return nil
	}
	var root any
	json.Unmarshal(data, &root)
	var out Report
	for _, e := range found.Entries {
		path, isKey := plainPath(e.Context.Path)
		if Immaterial(e.Message) || isOEMSource(root, path, e.Message) || e.Message == ierrors.ErrZeroesWithShouldNotExist.Error() {
			continue
		}
		p := Sentence(root, path, e.Message, func(p Path) Position { return c.Position(p...) })
		p.Severity, p.Path = severityOf(e.Kind), path.String()
		if name := readAs(path); name != "" && strings.HasPrefix(e.Message, "unused key ") {
			p.Message, p.Remedy = fmt.Sprintf("the key %s is read as %s, which not every reader does", path, name), "write "+name
		}
		p.Position = c.place(path, isKey, e.Message)
		if text, ok := c.at.(earlierText); ok {
			p.Path = text.source(path).String()
		}
		out = append(out, p)
	}
	return out
}

func (c Config) place(path Path, isKey bool, message string) Position {
	if text, ok := c.at.(jsonText); ok && isKey {
		if at, ok := text.key(path); ok {
			return at
		}
	}
	if text, ok := c.at.(YAML); ok {
		if at, ok := text.Fault(path, message); ok {
			return at
		}
	}
	return c.Position(path...)
}

// plainPath drops the mark that a path names a key and not its value.
func plainPath(in []any) (Path, bool) {
	out, isKey := make(Path, len(in)), false
	for i, e := range in {
		if k, ok := e.(tree.Key); ok {
			out[i], isKey = string(k), true
			continue
		}
		out[i] = e
	}
	return out, isKey
}

func severityOf(k report.EntryKind) Severity {
	switch k {
	case report.Warn:
		return Warning
	case report.Info:
		return Info
	}
	return Error
}
