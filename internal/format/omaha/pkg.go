// Package omaha reads and writes the Omaha protocol, version 3, in the dialect
// of Flatcar's update client and of the servers made for it (updates.md,
// section 1): XML bodies of HTTP POST requests, and what answers them.
//
// A server decodes a Request and encodes a Response, a client the other way
// round. Attributes have the order and the elements the form that existing
// clients write, so that recorded exchanges compare byte for byte.
//
// Limits: UTF-8 only; the caller bounds the size of what it reads (MaxRequest,
// MaxResponse); elements and attributes of other dialects are ignored.
package omaha

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// Protocol is the version of requests and responses.
const Protocol = "3.0"

// AppID is the application that Flatcar machines name in requests.
const AppID = "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}"

// What peers accept and what a careful reader does, bytes.
const (
	MaxRequest  = 64 << 10 // Nebraska refuses more
	MaxResponse = 1 << 20
)

// The values of Request.InstallSource.
const (
	Scheduler = "scheduler"      // a timer
	OnDemand  = "ondemandupdate" // a person or a program asked
)

// encode writes a document as existing clients do: prolog, four spaces.
func encode(what string, v any) ([]byte, error) {
	body, err := xml.MarshalIndent(v, "", "    ")
	if err != nil {
		return nil, fmt.Errorf("writing the Omaha %s: %w", what, err)
	}
	return append([]byte(xml.Header), append(body, '\n')...), nil
}

// decode reads one document; nothing but white space may follow it.
func decode(what string, data []byte, v any) error {
	d := xml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("reading the Omaha %s: %w", what, err)
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("reading the Omaha %s: %d bytes follow it", what, len(rest))
	}
	return nil
}
