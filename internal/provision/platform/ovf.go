package platform

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
)

// OVFProperties reads the properties of an OVF environment document
// (DSP0243, section 10.2): the elements Property with the attributes key and
// value.
func OVFProperties(data []byte) (map[string]string, error) {
	properties := map[string]string{}
	err := eachProperty(data, func(key, value string, _, _ int64) { properties[key] = value })
	return properties, err
}

// eachProperty calls do for each property with the place of its element in
// the text.
func eachProperty(data []byte, do func(key, value string, from, to int64)) error {
	dec := xml.NewDecoder(bytes.NewReader(data))
	for {
		from := dec.InputOffset()
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the OVF environment: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "Property" {
			continue
		}
		if err := dec.Skip(); err != nil {
			return fmt.Errorf("reading the OVF environment: %w", err)
		}
		do(attribute(start, "key"), attribute(start, "value"), from, dec.InputOffset())
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// pruneOVF cuts properties out of the text, which stays as it is otherwise.
func pruneOVF(data []byte, keys ...string) (out []byte, changed bool, err error) {
	last := int64(0)
	err = eachProperty(data, func(key, _ string, from, to int64) {
		if !slices.Contains(keys, key) {
			return
		}
		out = append(out, data[last:from]...)
		last, changed = to, true
	})
	return append(out, data[last:]...), changed, err
}
