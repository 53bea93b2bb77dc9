package omaha

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Response is what a server answers.
type Response struct {
	XMLName  xml.Name      `xml:"response"`
	Protocol string        `xml:"protocol,attr"`
	Server   string        `xml:"server,attr"`
	DayStart DayStart      `xml:"daystart"`
	Apps     []AppResponse `xml:"app"`
}

// DayStart is the server's time of day.
type DayStart struct {
	ElapsedSeconds string `xml:"elapsed_seconds,attr"`
}

// AppResponse answers for one application.
type AppResponse struct {
	ID          string         `xml:"appid,attr"`
	Status      string         `xml:"status,attr"`
	Ping        *Status        `xml:"ping"`
	Events      []Status       `xml:"event"`
	UpdateCheck *UpdateVerdict `xml:"updatecheck"`
}

// Status acknowledges an element of the request.
type Status struct {
	Status string `xml:"status,attr"`
}

// The values of a status. Others mean an error.
const (
	OK         = "ok"
	NoUpdate   = "noupdate"
	UnknownApp = "error-unknownApplication"
	Internal   = "error-internal"
)

// UpdateVerdict answers an UpdateCheck.
type UpdateVerdict struct {
	Status       string     `xml:"status,attr"`
	PollInterval string     `xml:"PollInterval,attr,omitempty"` // seconds until the next check
	URLs         *URLs      `xml:"urls"`
	Manifests    []Manifest `xml:"manifest"`
}

// URLs are the places that have the packages.
type URLs struct {
	URL []URL `xml:"url"`
}

// URL is a place; a package's name is joined to it.
type URL struct {
	CodeBase string `xml:"codebase,attr"`
}

// Manifest offers a version.
type Manifest struct {
	Version  string    `xml:"version,attr"`
	Packages []Package `xml:"packages>package"`
	Actions  []Action  `xml:"actions>action"`
}

// Package is a file of an offer. The first is the system.
type Package struct {
	Name       string `xml:"name,attr"`
	Hash       string `xml:"hash,attr"` // base64 SHA-1
	SHA256     string `xml:"hash_sha256,attr,omitempty"`
	Size       int64  `xml:"size,attr"` // bytes
	IsRequired string `xml:"required,attr,omitempty"`
}

// Action is what to do with the packages.
type Action struct {
	Event                 string `xml:"event,attr"`
	DisplayVersion        string `xml:"DisplayVersion,attr,omitempty"`
	SHA256                string `xml:"sha256,attr,omitempty"` // base64, of the first package
	NeedsAdmin            string `xml:"needsadmin,attr,omitempty"`
	IsDeltaPayload        string `xml:"IsDeltaPayload,attr,omitempty"`
	DisablePayloadBackoff string `xml:"DisablePayloadBackoff,attr,omitempty"`
	MaxFailureCountPerURL string `xml:"MaxFailureCountPerUrl,attr,omitempty"`
	MetadataSignatureRSA  string `xml:"MetadataSignatureRsa,attr,omitempty"`
	MetadataSize          string `xml:"MetadataSize,attr,omitempty"`
	Deadline              string `xml:"deadline,attr,omitempty"`
	MoreInfo              string `xml:"MoreInfo,attr,omitempty"`
	Prompt                string `xml:"Prompt,attr,omitempty"`
}

// Postinstall is the only action that matters.
const Postinstall = "postinstall"

// Encode returns the body of the answer.
func (r Response) Encode() ([]byte, error) { return encode("response", r) }

// DecodeResponse reads the body of an answer.
func DecodeResponse(data []byte) (Response, error) {
	var r Response
	if err := decode("response", data, &r); err != nil {
		return Response{}, err
	}
	if r.Protocol != Protocol {
		return Response{}, fmt.Errorf("reading the Omaha response: protocol %q is not %s", r.Protocol, Protocol)
	}
	return r, nil
}

// App is the part of the answer for an application.
func (r Response) App(id string) (AppResponse, bool) {
	for _, a := range r.Apps {
		if SameApp(a.ID, id) {
			return a, true
		}
	}
	return AppResponse{}, false
}

// Action is the first action for an event.
func (m Manifest) Action(event string) (Action, bool) {
	for _, a := range m.Actions {
		if a.Event == event {
			return a, true
		}
	}
	return Action{}, false
}

// Digest reads a SHA-256 or SHA-1 in either of the forms in use, hexadecimal
// or base64. size is that of the digest, bytes.
func Digest(text string, size int) ([]byte, error) {
	text = strings.TrimSpace(text)
	if len(text) == hex.EncodedLen(size) {
		if raw, err := hex.DecodeString(text); err == nil {
			return raw, nil
		}
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != size {
		return nil, fmt.Errorf("reading the digest %q: neither hexadecimal nor base64 of %d bytes", text, size)
	}
	return raw, nil
}

// Join puts a package's name behind a codebase.
func Join(codebase, name string) string {
	if strings.HasSuffix(codebase, "/") {
		return codebase + name
	}
	return codebase + "/" + name
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
