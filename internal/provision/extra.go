package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// mark is what some editors put at the beginning of UTF-8.
var mark = []byte("\ufeff")

// furtherDocuments warns of YAML behind the first document.
func furtherDocuments(name string, data []byte) Report {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var first, next yaml.Node
	if d.Decode(&first) != nil || d.Decode(&next) != nil || len(next.Content) == 0 || next.Content[0].Tag == "!!null" {
		return nil
	}
	return Report{{Severity: Warning, Position: Position{name, next.Content[0].Line, next.Content[0].Column},
		Message: "a further YAML document begins here and is ignored", Remedy: "keep each in a file of its own"}}
}

// lostInJSON warns of what the reader of JSON drops without a word: all but
// the last value of a key, and bytes that are no UTF-8.
func lostInJSON(name string, data []byte) Report {
	var out Report
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			out = append(out, Problem{Severity: Warning, Position: offsetPosition(name, data, int64(i)),
				Message: "this is no UTF-8, and becomes a replacement character", Remedy: "save the text as UTF-8"})
			break
		}
		i += n
	}
	d := json.NewDecoder(bytes.NewReader(data))
	return append(out, repeatedKeys(name, data, d)...)
}

// repeatedKeys reads one value.
func repeatedKeys(name string, data []byte, d *json.Decoder) Report {
	t, err := d.Token()
	open, isDelim := t.(json.Delim)
	if err != nil || !isDelim {
		return nil
	}
	var out Report
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			text, _ := key.(string)
			if err != nil {
				return out
			}
			if seen[text] {
				begin := bytes.LastIndexByte(data[:max(d.InputOffset()-1, 0)], '"')
				out = append(out, Problem{Severity: Warning, Position: offsetPosition(name, data, int64(begin)),
					Message: fmt.Sprintf("the key %s stands here a second time, and what it had before may be lost", text), Remedy: "keep one of the two"})
			}
			seen[text] = true
		}
		before := d.InputOffset()
		out = append(out, repeatedKeys(name, data, d)...)
		if d.InputOffset() == before {
			return out // no progress: the text is damaged
		}
	}
	_, _ = d.Token() // the end; of a damaged text there may be none
	return out
}
