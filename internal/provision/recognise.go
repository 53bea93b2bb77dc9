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
	KindCLC      Kind = "container-linux-config"
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
	var top map[string]yaml.Node
	err := yaml.Unmarshal(data, &top)
	_, variant := top["variant"]
	version := top["version"]
	switch {
	case variant, err != nil && mentions(data, "variant:"), strings.Count(version.Value, ".") == 2:
		return KindButane
	case isCLC(data, top, err):
		return KindCLC
	}
	return KindUnknown
}

// The sections of Container Linux Configs.
var clcSections = []string{"ignition", "storage", "systemd", "networkd", "passwd", "etcd", "flannel", "update", "docker", "locksmith"}

// isCLC tells a Container Linux Config, which has no mark of its own, by its
// sections. An Ignition config written as YAML has a version, and is none.
func isCLC(data []byte, top map[string]yaml.Node, err error) bool {
	ignition := top["ignition"]
	for i := 0; i+1 < len(ignition.Content); i += 2 {
		if ignition.Content[i].Value == "version" {
			return false
		}
	}
	for _, name := range clcSections {
		if _, ok := top[name]; ok || err != nil && mentions(data, name+":") {
			return true
		}
	}
	return false
}

func recogniseJSON(data []byte) Kind {
	data = bytes.TrimPrefix(data, mark)
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) == nil && top["variant"] != nil && top["ignition"] == nil {
		return KindButane
	}
	return KindIgnition
}

// mentions tells whether a line begins with a word, after blanks at most, so
// that Butane with a mistake in it is still known as Butane.
func mentions(data []byte, word string) bool {
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte(word)) {
			return true
		}
	}
	return false
}

func looksLikeJSON(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(data, mark)), []byte("{"))
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
