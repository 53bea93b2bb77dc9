package main

import (
	"fmt"
	"slices"
)

// unit is what a figure is counted in.
type unit string

const (
	seconds unit = "s"
	octets  unit = "bytes"
)

// measure is one row of the table: the same thing taken from both systems.
type measure struct {
	Name    string  `json:"name"`
	Unit    unit    `json:"unit"`
	Wellcar figure  `json:"wellcar"`
	Peer    figure  `json:"peer"`
	Ratio   float64 `json:"ratio,omitempty"` // peer / wellcar; 0: not known
	Target  target  `json:"target,omitzero"`
	Verdict string  `json:"verdict"`
	Note    string  `json:"note,omitempty"`
}

// figure is the median of several runs, or the reason why there is none.
type figure struct {
	Median float64   `json:"median,omitempty"`
	Runs   []float64 `json:"runs,omitempty"`
	Skip   string    `json:"skip,omitempty"`
}

func (f figure) known() bool { return f.Skip == "" && len(f.Runs) > 0 }

// target is what must be reached. A zero field asks for nothing.
type target struct {
	AtMost float64 `json:"at_most,omitempty"` // wellcar's own figure, in the row's unit
	Ratio  float64 `json:"ratio,omitempty"`   // peer / wellcar, at least
}

// series collects the runs of one system by row name.
type series struct {
	runs map[string][]float64
	skip map[string]string
	why  string // for rows without an entry
}

func newSeries() *series {
	return &series{runs: map[string][]float64{}, skip: map[string]string{}, why: "not measured"}
}

func (s *series) add(row string, value float64) { s.runs[row] = append(s.runs[row], value) }

// skipAll gives the reason for all rows that have no figure by the end.
func (s *series) skipAll(why string) { s.why = why }

func (s *series) skipRow(row, why string) { s.skip[row] = why }

func (s *series) skipRows(why string, rows ...string) {
	for _, row := range rows {
		s.skipRow(row, why)
	}
}

func (s *series) figure(row string) figure {
	if runs := s.runs[row]; len(runs) > 0 {
		return figure{Median: median(runs), Runs: runs}
	}
	if why := s.skip[row]; why != "" {
		return figure{Skip: why}
	}
	return figure{Skip: s.why}
}

// median is that of a list that is not empty.
func median(runs []float64) float64 {
	sorted := slices.Sorted(slices.Values(runs))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// The names of the rows.
const (
	rowBuild     = "build, packages cached, nothing unpacked"
	rowCPU       = "  CPU time of that build"
	rowMemory    = "  peak memory of that build"
	rowRebuild   = "rebuild after one overlay file changed"
	rowUKI       = "UKI (kernel and initrd)"
	rowImage     = "disk image, bytes stored"
	rowLogin     = "power-on to login"
	rowDocker    = "power-on to docker answering"
	rowContainer = "power-on to a container answering"
	rowPlan      = "plan of a Butane file of 200 lines"

	rowFiles       = "files stage, 50 files and 50 units"
	rowFilesMemory = "  peak memory of that stage"
	rowApplet      = "start of the ignition applet"
	rowProvision   = "provisioning's share of a first boot"
)

// rows are the table without figures, with what each must reach.
func rows() []measure {
	return []measure{
		{Name: rowBuild, Unit: seconds, Target: target{AtMost: 20}},
		{Name: rowCPU, Unit: seconds},
		{Name: rowMemory, Unit: octets, Target: target{AtMost: 500e6}, Note: "resident memory of the largest process"},
		{Name: rowRebuild, Unit: seconds, Target: target{AtMost: 3}, Note: "mkosi with --incremental, its quickest way"},
		{Name: rowUKI, Unit: octets, Target: target{AtMost: 24e6}},
		{Name: rowImage, Unit: octets},
		{Name: rowPlan, Unit: seconds, Target: target{AtMost: 0.1}, Note: "wellcar plan --offline, with the contents of the image"},
		{Name: rowFiles, Unit: seconds, Target: target{AtMost: 0.02}, Note: "a process, in a directory in memory"},
		{Name: rowFilesMemory, Unit: octets, Target: target{AtMost: 15 << 20}},
		{Name: rowApplet, Unit: seconds, Target: target{AtMost: 0.012}, Note: "ignition --version"},
		{Name: rowProvision, Unit: seconds, Target: target{AtMost: 1}, Note: "from the config's source to the last unit, emulated"},
		{Name: rowLogin, Unit: seconds, Target: target{Ratio: 2}, Note: "first boot"},
		{Name: rowDocker, Unit: seconds, Note: "first boot"},
		{Name: rowContainer, Unit: seconds, Note: "first boot, the image is pulled"},
	}
}

// fill joins the figures of both systems into the rows.
func fill(table []measure, wellcar, peer *series) {
	for i := range table {
		m := &table[i]
		m.Wellcar, m.Peer = wellcar.figure(m.Name), peer.figure(m.Name)
		if m.Wellcar.known() && m.Peer.known() && m.Wellcar.Median > 0 {
			m.Ratio = m.Peer.Median / m.Wellcar.Median
		}
		m.Verdict = m.judge()
	}
}

// judge compares with the target: met, missed and by how much, or not known.
func (m measure) judge() string {
	switch t := m.Target; {
	case t == (target{}):
		return ""
	case !m.Wellcar.known():
		return "not known"
	case t.AtMost > 0 && m.Wellcar.Median > t.AtMost:
		return fmt.Sprintf("missed by %.0f%%", 100*(m.Wellcar.Median/t.AtMost-1))
	case t.Ratio > 0 && m.Ratio == 0:
		return "not known"
	case t.Ratio > 0 && m.Ratio < t.Ratio:
		return fmt.Sprintf("missed: %.2f", m.Ratio)
	}
	return "met"
}
