package cloudinit

import (
	"bytes"
	"encoding/json"
	"net/mail"
	"strings"
)

// Kind is what a text is.
type Kind string

// The kinds of text.
const (
	KindEmpty    Kind = "empty"
	KindConfig   Kind = "cloud-config"
	KindScript   Kind = "script"
	KindMessage  Kind = "MIME message"
	KindIgnition Kind = "Ignition"
	KindUnknown  Kind = "unknown"
)

// Recognise tells what an uncompressed text is.
func Recognise(data []byte) Kind {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return KindEmpty
	case string(bytes.TrimRight(first, " \t\r")) == "#cloud-config":
		return KindConfig
	case bytes.HasPrefix(first, []byte("#!")):
		return KindScript
	case isIgnition(data):
		return KindIgnition
	case isMessage(data):
		return KindMessage
	}
	return KindUnknown
}

func isIgnition(data []byte) bool {
	var top struct {
		Version  *int             `json:"ignitionVersion"`
		Ignition *json.RawMessage `json:"ignition"`
	}
	return json.Unmarshal(data, &top) == nil && (top.Version != nil || top.Ignition != nil)
}

func isMessage(data []byte) bool {
	m, err := mail.ReadMessage(bytes.NewReader(data))
	return err == nil && strings.HasPrefix(strings.ToLower(m.Header.Get("Content-Type")), "multipart/mixed")
}
