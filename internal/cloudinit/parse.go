package cloudinit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"

	"gopkg.in/yaml.v3"
)

// Part is one text of the user data, of which one field is set.
type Part struct {
	Name   string
	Config *Config
	Script []byte
	Places Places // of the config
}

// UserData are the parts in their order.
type UserData struct {
	Parts []Part
	// Ignition tells that a part is an Ignition config, which is left to the
	// first boot.
	Ignition bool
}

// place is where a text lies in the user's file.
type place struct {
	file   string
	before int // lines of the file before the text
}

func (p place) line(n int) int { return p.before + n }

// MIME messages within messages are followed this deep.
const deepest = 4

// reader gathers the parts of a text.
type reader struct {
	values Values
	data   UserData
	report Report
}

// Parse reads user data. Parts with errors are left out of the result.
func Parse(name string, data []byte, v Values) (UserData, Report) {
	r := &reader{values: v}
	r.read(place{file: name}, "", data, 0)
	return r.data, r.report
}

func (r *reader) fail(at place, line int, message, remedy string) {
	r.report = append(r.report, Problem{Error, at.file, at.line(line), min(line, 1), message, remedy})
}

// read takes a text of any kind.
func (r *reader) read(at place, name string, data []byte, depth int) {
	if isGzip(data) {
		unpacked, err := gunzip(data)
		if err != nil {
			r.fail(at, 0, "the text: "+err.Error(), "compress it again, or give it as it is")
			return
		}
		data = unpacked
	}
	switch Recognise(data) {
	case KindEmpty:
	case KindScript:
		r.script(name, data)
	case KindConfig:
		r.config(at, name, data)
	case KindIgnition:
		r.data.Ignition = true
		r.report = append(r.report, Problem{Info, at.file, at.line(1), 1, "an Ignition config is left to the first boot", ""})
	case KindMessage:
		r.message(at, data, depth)
	default:
		r.fail(at, 1, "the text is neither a cloud-config nor a script nor a MIME message", "begin it with #cloud-config or #!")
	}
}

func (r *reader) script(name string, data []byte) {
	if name == "" {
		name = "userdata.sh"
	}
	r.data.Parts = append(r.data.Parts, Part{Name: name, Script: r.values.fill(data)})
}

func (r *reader) config(at place, name string, data []byte) {
	if name == "" {
		name = "cloud-config.yaml"
	}
	cfg, places, report := parseConfig(at, r.values.fill(data))
	r.report = append(r.report, report...)
	if report.Err() == nil {
		r.data.Parts = append(r.data.Parts, Part{Name: name, Config: cfg, Places: places})
	}
}

func parseConfig(at place, data []byte) (*Config, Places, Report) {
	var doc yaml.Node
	err := yaml.Unmarshal(data, &doc)
	if err == nil {
		var any any
		err = doc.Decode(&any) // refuses aliases within themselves and in great numbers
	}
	if err != nil {
		line, message := yamlFault(err)
		return nil, Places{}, Report{{Error, at.file, at.line(line), firstSign(data, line), message,
			"look at the indentation and for a missing colon or quote, there or just before"}}
	}
	cfg := &Config{}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return cfg, Places{in: at}, nil
	}
	c := &checker{at: at}
	top := doc.Content[0]
	if !c.check("", top, root) {
		return cfg, Places{in: at}, c.report
	}
	if err := top.Decode(cfg); err != nil {
		_, message := yamlFault(err)
		c.add(Error, top, message, "correct the value")
		return cfg, Places{in: at}, c.report
	}
	c.files(cfg, items(child(top, "write_files")))
	c.names(cfg, top)
	return cfg, newPlaces(at, data, top), c.report
}

// firstSign is the column of the first sign on a line that is no blank.
func firstSign(data []byte, line int) int {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) {
		return 0
	}
	return 1 + len(lines[line-1]) - len(bytes.TrimLeft(lines[line-1], " \t"))
}

// yamlFault takes apart the message of the YAML reader.
func yamlFault(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if te := (*yaml.TypeError)(nil); errors.As(err, &te) && len(te.Errors) > 0 {
		message = te.Errors[0]
	}
	if n, scanErr := fmt.Sscanf(message, "line %d:", &line); scanErr != nil || n != 1 {
		return 1, "the YAML cannot be read: " + message
	}
	_, message, _ = strings.Cut(message, ": ")
	return line, "the YAML cannot be read: " + message
}

// message reads the parts of a multipart/mixed message.
func (r *reader) message(at place, data []byte, depth int) {
	if depth >= deepest {
		r.fail(at, 1, fmt.Sprintf("the MIME message has more than %d others around it", deepest), "")
		return
	}
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		r.fail(at, 1, "the MIME message cannot be read: "+err.Error(), "write the header lines, an empty line, then the parts")
		return
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		r.fail(at, 1, "the MIME message has no boundary", `write Content-Type: multipart/mixed; boundary="WORD"`)
		return
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	from := 0
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return
		}
		var body []byte
		if err == nil {
			body, err = io.ReadAll(p)
		}
		if err != nil {
			r.fail(at, 0, "the MIME message is damaged: "+err.Error(), "end each part with the boundary, and the last with the boundary and --")
			return
		}
		within := at
		if i := bytes.Index(data[from:], body); i >= 0 && len(body) > 0 {
			from += i
			within.before += bytes.Count(data[:from], []byte("\n"))
		}
		r.part(within, p, body, depth)
	}
}

// part reads one part: its type decides, and its content where the type says
// nothing.
func (r *reader) part(at place, p *multipart.Part, body []byte, depth int) {
	kind, params, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
	name := p.FileName()
	if name == "" {
		name = params["name"]
	}
	if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
		if err != nil {
			r.fail(at, 1, "a part of the MIME message is not base64: "+err.Error(), "encode it with base64, or leave Content-Transfer-Encoding out")
			return
		}
		body = decoded
	}
	switch {
	case kind == "text/cloud-config" && !isGzip(body):
		r.config(at, name, body)
	case kind == "text/x-shellscript" && bytes.HasPrefix(body, []byte("#!")):
		r.script(name, body)
	case kind == "text/x-shellscript" && !isGzip(body):
		r.fail(at, 1, "a script of the MIME message does not begin with #!", "name its interpreter, such as #!/bin/bash")
	default:
		r.read(at, name, body, depth+1)
	}
}
