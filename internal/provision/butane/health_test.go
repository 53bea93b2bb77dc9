package butane

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	const text = `variant: flatcar
version: 1.1.0
health:
  deadline: 90s

  checks:
    - tcp: 127.0.0.1:80
storage:
  files:
    - path: /etc/a
`
	out, report, positions := Translate("a.bu", []byte(text), "", true)
	if report.Err() != nil {
		t.Fatal(report)
	}
	var c struct {
		Storage struct {
			Files []struct {
				Path     string
				Contents struct{ Source string }
			}
		}
	}
	if err := json.Unmarshal(out, &c); err != nil || len(c.Storage.Files) != 2 || c.Storage.Files[1].Path != healthFile {
		t.Fatalf("%s, %v", out, err)
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.Storage.Files[1].Contents.Source, "data:;base64,"))
	if err != nil || string(data) != "deadline: 90s\nchecks:\n    - tcp: 127.0.0.1:80\n" {
		t.Errorf("%q, %v", data, err)
	}
	if at := positions["storage.files[1]"]; at.Line != 3 || at.Column != 1 {
		t.Errorf("its position is %v", at)
	}
	if at := positions["storage.files[0].path"]; at.Line != 10 {
		t.Errorf("the position of another element is %v", at)
	}
}

func TestHealthAlone(t *testing.T) {
	out, report, _ := Translate("a.bu", []byte("health: {checks: []}\nvariant: flatcar\nversion: 1.0.0"), "", true)
	if report.Err() != nil || !strings.Contains(string(out), healthFile) {
		t.Errorf("%s, %v", out, report)
	}
	if rest, checks := takeHealth([]byte("{variant: flatcar, health: {}}")); checks != nil || len(rest) == 0 {
		t.Error("a text in one line was cut")
	}
}
