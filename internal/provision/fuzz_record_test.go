package provision_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/provisiontest"
	"wellcar.dev/internal/report"
)

// addConfigs makes seeds of broken configs and of random good ones.
func addConfigs(f *testing.F) {
	names, err := filepath.Glob("testdata/broken/*.ign")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for seed := range uint64(5) {
		f.Add(provisiontest.Config(seed))
	}
}

// FuzzLoadPlan reads and plans any text: it ends in a plan or in a problem
// that lies within the text, and tells the same twice.
func FuzzLoadPlan(f *testing.F) {
	addConfigs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, r := provision.Load("c", data, provision.LoadOptions{})
		checkWithin(t, r, data)
		if r.Err() != nil {
			return
		}
		plan, err := c.Plan(provision.DefaultFacts())
		if report, ok := err.(provision.Report); ok {
			checkWithin(t, report, data)
			return
		}
		for _, s := range plan.Steps {
			checkPosition(t, s.At, data)
		}
		again, _ := c.Plan(provision.DefaultFacts())
		if provision.Render(plan) != provision.Render(again) {
			t.Error("two plans of one config differ")
		}
	})
}

func checkWithin(t *testing.T, r provision.Report, data []byte) {
	t.Helper()
	for _, p := range r {
		checkPosition(t, p.Position, data)
		if p.Message == "" || strings.Contains(p.String(), "\x00") && !bytes.Contains(data, []byte{0}) {
			t.Errorf("%q", p.String())
		}
	}
}

func checkPosition(t *testing.T, at provision.Position, data []byte) {
	t.Helper()
	if at.Line < 0 || at.Column < 0 || at.Line > 1+bytes.Count(data, []byte("\n")) || at.Column > len(data)+1 {
		t.Errorf("%v is outside of the text", at)
	}
}

// FuzzPosition asks for elements of any text.
func FuzzPosition(f *testing.F) {
	addConfigs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s := provision.Source{Name: "s", Text: string(data)}
		c, r := provision.Load("c", []byte(`{"ignition":{"version":"3.4.0"},"storage":{"files":[{"path":"/a"},{"path":"b"}]}}`), provision.LoadOptions{Source: &s})
		checkWithin(t, r, data)
		for _, path := range [][]any{nil, {"storage"}, {"storage", "files", 0}, {"storage", "files", 1, "path"}, {"passwd", "users", 7, "sshAuthorizedKeys", 2}} {
			checkPosition(t, c.Position(path...), data)
		}
	})
}

// FuzzDecodeSource reads what stands beside a config.
func FuzzDecodeSource(f *testing.F) {
	f.Add(provision.Source{Name: "a.bu", Text: "variant: flatcar\n", Positions: map[string][2]int{"storage": {1, 2}}}.Encode())
	f.Add([]byte(`{"name":"x","positions":{"":[-1,0]}}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := provision.DecodeSource(data)
		if err != nil {
			return
		}
		c, _ := provision.Load("c", []byte(`{"ignition":{"version":"3.4.0"}}`), provision.LoadOptions{Source: s})
		_ = c.Position("storage", "files", 0).String()
		if again, err := provision.DecodeSource(s.Encode()); err != nil || again.Name != s.Name {
			t.Error(again, err)
		}
	})
}

// FuzzDecodeRecord reads a record and makes a page of it, which no text in it
// may steer.
func FuzzDecodeRecord(f *testing.F) {
	rec := provision.Record{Platform: "qemu", Source: "x", Provided: true, Failure: &provision.Failure{Sentence: "a:1:2: b", At: provision.Position{File: "a", Line: 1, Column: 2}}}
	data, err := rec.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"steps":[{"outcome":"done","did":"\u001b[2J"}],"failure":{"at":{"line":-3,"column":-7},"excerpt":[{"number":-3}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := provision.DecodeRecord(data)
		if err != nil {
			return
		}
		_ = rec.Words()
		r := rec.Report("")
		for _, line := range report.Page(r, report.Screen{Width: 80, Height: 25}) {
			if strings.ContainsAny(line, "\x1b\r\n") {
				t.Errorf("%q", line)
			}
		}
		if _, err := report.DecodeText(r.CodeText()); err != nil {
			t.Error(err)
		}
	})
}
