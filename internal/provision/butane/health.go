package butane

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/provision"
)

// healthFile is where the machine looks for the checks of a config.
const healthFile = "/etc/wellcar/health.d/50-butane.yaml"

// healthKey is our addition to Butane: health checks, which travel as a file.
const healthKey = "health"

// takeHealth cuts the checks out of a text. Lines are blanked, not removed, so
// that all positions hold. checks is nil if there are none.
func takeHealth(data []byte) (rest, checks []byte) {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode || doc.Content[0].Style&yaml.FlowStyle != 0 {
		return data, nil
	}
	top := doc.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value != healthKey {
			continue
		}
		end := bytes.Count(data, []byte("\n")) + 2
		if i+2 < len(top) {
			end = top[i+2].Line
		}
		checks, err := yaml.Marshal(top[i+1])
		if err != nil {
			return data, nil
		}
		return blank(data, top[i].Line, end), checks
	}
	return data, nil
}

// blank empties lines from one to before another, counted from 1.
func blank(data []byte, from, to int) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	for i := from - 1; i < min(to-1, len(lines)); i++ {
		lines[i] = strings.Repeat("\n", strings.Count(lines[i], "\n"))
	}
	return []byte(strings.Join(lines, ""))
}

// putHealth adds the file of the checks to a translated config.
func putHealth(config, checks []byte, text provision.YAML, positions provision.Positions) ([]byte, error) {
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	storage, _ := c["storage"].(map[string]any)
	if storage == nil {
		storage = map[string]any{}
	}
	files, _ := storage["files"].([]any)
	at := text.Key(provision.Path{healthKey})
	path := provision.Path{"storage", "files", len(files)}
	for _, p := range []provision.Path{path, append(path[:3:3], "path"), append(path[:3:3], "contents"), append(path[:3:3], "contents", "source")} {
		positions[p.String()] = at
	}
	storage["files"] = append(files, map[string]any{"path": healthFile, "mode": 0o644,
		"contents": map[string]any{"source": fmt.Sprintf("data:;base64,%s", base64.StdEncoding.EncodeToString(checks))}})
	c["storage"] = storage
	return json.Marshal(c)
}
