package provision

import (
	"encoding/json"
	"fmt"
)

// Source is the text that an Ignition config was made of. It travels beside
// the config, so that the machine names the lines that the user wrote.
type Source struct {
	Name      string            `json:"name"`
	Text      string            `json:"text"`
	Positions map[string][2]int `json:"positions,omitempty"` // element of the Ignition config to line and column; without it elements are found by name
}

// NewSource keeps the positions that lie in the named text.
func NewSource(name string, text []byte, positions Positions) Source {
	s := Source{Name: name, Text: string(text), Positions: make(map[string][2]int, len(positions))}
	for element, at := range positions {
		if at.File == name {
			s.Positions[element] = [2]int{at.Line, at.Column}
		}
	}
	return s
}

// Encode is the source as it travels, equal for equal sources.
func (s Source) Encode() []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return data
}

// DecodeSource reads what Encode wrote.
func DecodeSource(data []byte) (*Source, error) {
	var s Source
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("decoding the source text of the config: %w", err)
	}
	return &s, nil
}

func (s *Source) locator() locator {
	if len(s.Positions) > 0 {
		m := make(Positions, len(s.Positions))
		for element, at := range s.Positions {
			m[element] = Position{s.Name, at[0], at[1]}
		}
		return m
	}
	if looksLikeJSON([]byte(s.Text)) {
		return newJSONText(s.Name, []byte(s.Text))
	}
	return NewYAML(s.Name, []byte(s.Text))
}
