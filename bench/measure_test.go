package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		runs []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := median(c.runs); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.runs, got, c.want)
		}
	}
}

func TestBusy(t *testing.T) {
	if got := busy("0.40 1.00 2.00 1/200 4242\n", 2); got != "0.40" {
		t.Errorf("a quiet machine: %q", got)
	}
	if got := busy("0.60 1.00 2.00 1/200 4242\n", 2); !strings.HasPrefix(got, "0.60 (other work") {
		t.Errorf("a busy machine: %q", got)
	}
}

func TestJudge(t *testing.T) {
	known := func(v float64) figure { return figure{Median: v, Runs: []float64{v}} }
	skipped := figure{Skip: "no reason"}
	for _, c := range []struct {
		name          string
		wellcar, peer figure
		target        target
		want          string
	}{
		{"no target", known(1), known(2), target{}, ""},
		{"below", known(19), skipped, target{AtMost: 20}, "met"},
		{"above", known(30), known(90), target{AtMost: 20}, "missed by 50%"},
		{"fast enough", known(10), known(20), target{Ratio: 2}, "met"},
		{"not fast enough", known(10), known(15), target{Ratio: 2}, "missed: 1.50"},
		{"no peer", known(10), skipped, target{Ratio: 2}, "not known"},
		{"nothing", skipped, known(10), target{AtMost: 20}, "not known"},
	} {
		wellcar, peer := newSeries(), newSeries()
		for s, f := range map[*series]figure{wellcar: c.wellcar, peer: c.peer} {
			for _, v := range f.Runs {
				s.add("row", v)
			}
		}
		table := []measure{{Name: "row", Unit: seconds, Target: c.target}}
		fill(table, wellcar, peer)
		if got := table[0].Verdict; got != c.want {
			t.Errorf("%s: verdict %q, want %q", c.name, got, c.want)
		}
	}
}

// example is a report with a row of each kind.
func example() report {
	wellcar, peer := newSeries(), newSeries()
	for _, v := range []float64{8, 9, 30} {
		wellcar.add("build", v)
		peer.add("build", 10*v)
	}
	wellcar.add("size", 22e6)
	peer.skipAll("mkosi has no root")
	wellcar.skipRow("login", "no line matches")
	table := []measure{
		{Name: "build", Unit: seconds, Target: target{AtMost: 20}, Note: "in a quiet room"},
		{Name: "size", Unit: octets, Target: target{AtMost: 20e6}},
		{Name: "login", Unit: seconds, Target: target{Ratio: 2}},
	}
	fill(table, wellcar, peer)
	return report{Facts: []fact{{"processors", "2"}}, Measures: table}
}

func TestTextReport(t *testing.T) {
	var b strings.Builder
	if err := example().writeText(&b); err != nil {
		t.Fatal(err)
	}
	want := `processors: 2

what   wellcar  mkosi    ratio     target    verdict
build  9.00 s   90.00 s  1 : 10.0  <= 20 s   met
size   22.0 MB  skipped  -         <= 20 MB  missed by 10%
login  skipped  skipped  -         >= 1 : 2  not known

build: in a quiet room
mkosi skipped: mkosi has no root
wellcar skipped: no line matches
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestJSONReport(t *testing.T) {
	var b strings.Builder
	if err := example().writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), back); diff != "" {
		t.Error(diff)
	}
}
