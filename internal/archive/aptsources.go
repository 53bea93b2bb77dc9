package archive

import (
	"bufio"
	"bytes"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A source is one line or stanza of sources.list(5), as far as it matters.
type source struct {
	types, uris, components []string
	signedBy                string
	disabled                bool
}

// fromSources finds the first usable address of each archive; empty if none.
func fromSources(files []SourceFile) Mirror {
	var m Mirror
	for _, f := range files {
		parse := parseOneLine
		if strings.HasSuffix(f.Name, ".sources") {
			parse = parseDeb822
		}
		for _, s := range parse(f.Data) {
			if s.usable() {
				m.take(s.uris)
			}
		}
	}
	return m
}

func (m *Mirror) take(uris []string) {
	for _, raw := range uris {
		raw = trimAddress(raw)
		u, err := url.Parse(raw)
		if err != nil || !fetchable(u) {
			continue
		}
		switch path.Base(u.Path) {
		case "debian":
			if m.Debian == "" {
				m.Debian = raw
			}
		case "debian-security":
			if m.Security == "" {
				m.Security = raw
			}
		}
	}
}

// usable leaves out what cannot be Debian's own archive: other vendors also
// name their folders /debian, but with other components or other keys.
func (s source) usable() bool {
	if s.disabled || !slices.Contains(s.types, "deb") || !slices.Contains(s.components, "main") {
		return false
	}
	if s.signedBy == "" || strings.ContainsAny(s.signedBy, " \n") {
		return true // apt's default keys, or a key inside the stanza
	}
	return strings.Contains(path.Base(s.signedBy), "debian")
}

// parseOneLine reads "deb [option=value ...] uri suite component ..." lines.
func parseOneLine(data []byte) []source {
	var out []source
	for _, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if tab, after, found := strings.Cut(kind, "\t"); found {
			kind, rest = tab, after+" "+rest
		}
		s := source{types: []string{kind}}
		rest = strings.TrimSpace(rest)
		if options, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(rest, "[") {
			s.options(options[1:])
			rest = after
		}
		words := strings.Fields(rest)
		if len(words) < 3 {
			continue
		}
		s.uris, s.components = words[:1], words[2:]
		out = append(out, s)
	}
	return out
}

func (s *source) options(text string) {
	for _, option := range strings.Fields(text) {
		key, value, _ := strings.Cut(option, "=")
		switch strings.ToLower(strings.TrimRight(key, "+-")) {
		case "signed-by":
			s.signedBy = value
		case "enabled":
			s.disabled = isNo(value)
		}
	}
}

// parseDeb822 reads stanzas of "Field: value" lines.
func parseDeb822(data []byte) []source {
	var out []source
	r := newStanzaReader(bufio.NewReader(bytes.NewReader(data)), func(string) bool { return true })
	for {
		fields, err := r.next()
		if err != nil {
			return out // the end, or a file that apt would refuse as well
		}
		get := func(name string) string { return strings.TrimSpace(fields[name]) }
		out = append(out, source{
			types:      strings.Fields(get("types")),
			uris:       strings.Fields(get("uris")),
			components: strings.Fields(get("components")),
			signedBy:   get("signed-by"),
			disabled:   isNo(get("enabled")),
		})
	}
}

func isNo(s string) bool {
	switch strings.ToLower(s) {
	case "no", "false", "without", "off", "disable", "0":
		return true
	}
	return false
}
