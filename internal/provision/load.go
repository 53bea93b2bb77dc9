package provision

import (
	"bytes"
	"fmt"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// Translator turns a text of the host into Ignition JSON. A nil JSON means that the
// report has an error.
type Translator func(name string, data []byte, filesDir string, strict bool) ([]byte, Report, Positions)

// LoadOptions say how to read a text.
type LoadOptions struct {
	FilesDir string     // folder of the files that Butane embeds; empty forbids embedding
	Strict   bool       // warnings are errors
	Butane   Translator // nil refuses Butane
	CLC      Translator // nil refuses Container Linux Configs
	Source   *Source    // what the Ignition JSON was made of; nil: itself
}

// Config is a configuration that was read, in the newest form of the spec.
type Config struct {
	Name     string       // of the text, for positions
	Kind     Kind         // of the text
	JSON     []byte       // as Ignition JSON; nil if there is no config
	Ignition types.Config // zero if there is no config

	// UserProvided tells whether the user gave a config, which a base config
	// alone is not. Load sets it.
	UserProvided bool

	// Referenced are the addresses of the configs that Render brought in, in
	// the order they were read.
	Referenced []string

	at locator
}

// Provided tells whether there is an Ignition config at all.
func (c Config) Provided() bool {
	return c.Kind == KindIgnition || c.Kind == KindButane || c.Kind == KindCLC
}

// Position is the place of an element, or of the nearest one around it:
// config.Position("storage", "files", 0, "path").
func (c Config) Position(path ...any) Position { return locate(c.at, path) }

// Load reads a text. The report has everything worth telling, in the order
// of the text; if it has an error, the config must not be used. Name stands
// in all positions.
func Load(name string, data []byte, opt LoadOptions) (Config, Report) {
	c := Config{Name: name, Kind: Recognise(data), at: pinned{File: name}}
	text := bytes.TrimPrefix(data, mark)
	var report Report
	switch c.Kind {
	case KindButane:
		c, report = loadYAML(c, text, "Butane", opt.Butane, opt)
	case KindCLC:
		c, report = loadYAML(c, text, "a Container Linux Config", opt.CLC, opt)
	case KindIgnition:
		c, report = loadIgnition(c, text, opt)
	case KindOther:
		report = Report{{Severity: Info, Message: "this is no Ignition config: nothing is provisioned from it", Position: Position{File: name}}}
	case KindUnknown:
		report = Report{unknownText(name, data)}
	}
	if opt.Strict {
		report = report.Strict()
	}
	c.UserProvided = c.Provided()
	return c, report.sorted()
}

func loadYAML(c Config, data []byte, what string, translate Translator, opt LoadOptions) (Config, Report) {
	if translate == nil {
		return c, Report{{Severity: Error, Position: Position{c.Name, 1, 1},
			Message: fmt.Sprintf("this is %s, which a machine does not read", what),
			Remedy:  "translate it to Ignition JSON first: wellcar config FILE"}}
	}
	text, report, positions := translate(c.Name, data, opt.FilesDir, opt.Strict)
	if text == nil {
		return c, report
	}
	c.at = positions
	c, more := parseIgnition(c, text)
	return c, append(append(report, more...), furtherDocuments(c.Name, data)...)
}

func loadIgnition(c Config, data []byte, opt LoadOptions) (Config, Report) {
	c.at = newJSONText(c.Name, data)
	if opt.Source != nil {
		c.at = opt.Source.locator()
	}
	c, report := parseIgnition(c, data)
	if report.Err() == nil && opt.Source == nil {
		report = append(report, lostInJSON(c.Name, data)...)
	}
	return c, report
}

func unknownText(name string, data []byte) Problem {
	p := Problem{Severity: Error, Position: Position{name, 1, 1}}
	switch {
	case isGzip(data):
		p.Message, p.Remedy = "the text is compressed with gzip", "give it uncompressed"
	case bytes.HasPrefix(data, mark) && isOther(data[len(mark):]):
		p.Message, p.Remedy = "the text begins with a byte order mark, which coreos-cloudinit does not take", "save it as UTF-8 without one"
	case mentions(data, "ignition:"):
		p.Message, p.Remedy = "this is an Ignition config written as YAML", "write it as JSON, or as Butane with variant: flatcar and version: 1.1.0"
	default:
		p.Message = "the text is no Ignition config, no Butane, no Container Linux Config and no cloud-config"
		p.Remedy = fmt.Sprintf("begin Ignition JSON with %s, Butane with variant: flatcar", `{"ignition": {"version": "3.4.0"}}`)
	}
	return p
}
