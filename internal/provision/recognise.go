package provision

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// Kind is what a user's text is.
type Kind string

// The kinds of text. Empty and Other mean that there is no Ignition config.
const (
	KindEmpty    Kind = "empty"
	KindIgnition Kind = "ignition"
	KindButane   Kind = "butane"
	KindOther    Kind = "other" // cloud-config, script or MIME message
	KindUnknown  Kind = "unknown"
)

// Recognise tells by its beginning, and for YAML by its top-level keys, what
// a text is.
func Recognise(data []byte) Kind {
	if len(bytes.TrimSpace(data)) == 0 {
		return KindEmpty
	}
	if isOther(data) || isOther(gunzipHead(data)) {
		return KindOther
	}
	if looksLikeJSON(data) {
		return recogniseJSON(data)
	}
	var top struct {
		Variant *yaml.Node `yaml:"variant"`
		Version *yaml.Node `yaml:"version"`
	}
	err := yaml.Unmarshal(data, &top)
	if err == nil && top.Variant == nil || !mentions(data, "variant:") {
		return KindUnknown
	}
	return KindButane
}

func recogniseJSON(data []byte) Kind {
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) == nil && top["variant"] != nil && top["ignition"] == nil {
		return KindButane
	}
	return KindIgnition
}

// mentions tells whether a line begins with a word, so that Butane with a
// mistake in it is still known as Butane.
func mentions(data []byte, word string) bool {
	return bytes.HasPrefix(data, []byte(word)) || bytes.Contains(data, []byte("\n"+word))
}

func looksLikeJSON(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))
}

func isOther(data []byte) bool {
	first, _, _ := strings.Cut(string(head(data)), "\n")
	first = strings.TrimRight(first, " \t\r")
	if first == "#cloud-config" || strings.HasPrefix(first, "#!") {
		return true
	}
	lower := strings.ToLower(string(head(data)))
	return strings.HasPrefix(lower, "content-type: multipart/") ||
		strings.HasPrefix(lower, "mime-version:") && strings.Contains(lower, "multipart/")
}

func head(data []byte) []byte {
	return data[:min(len(data), 1024)]
}

// gunzipHead returns the beginning of a gzip stream, nil if it is none.
func gunzipHead(data []byte) []byte {
	if !isGzip(data) {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	buf := make([]byte, 1024)
	n, _ := io.ReadFull(z, buf)
	return buf[:n]
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }
