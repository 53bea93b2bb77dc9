package preview

import (
	"fmt"
	"strings"

	"wellcar.dev/internal/provision"
)

// Render is the preview for people: the steps, then what they mean.
func (p *Preview) Render() string {
	var b strings.Builder
	steps := p.Plan
	steps.Warnings = nil
	b.WriteString(provision.Render(steps))
	section(&b, "Files of the image that are replaced", p.replacedRows())
	section(&b, "Partitions", p.partitionRows())
	section(&b, "Units", p.unitRows())
	section(&b, "Downloads", p.downloadRows())
	section(&b, "Reboots", p.rebootRows())
	if len(p.Warnings) > 0 {
		b.WriteString("\nWarnings\n")
	}
	for _, w := range p.Warnings {
		b.WriteString(w.String() + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func section(b *strings.Builder, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n" + title + "\n")
	provision.WriteTable(b, rows)
}

func (p *Preview) replacedRows() [][]string {
	var rows [][]string
	for _, r := range p.Replaced {
		was := fmt.Sprintf("%d bytes", r.Was.Size)
		if r.Was.Kind == Link {
			was = "link to " + r.Was.Target
		}
		rows = append(rows, []string{"", r.Path, was, "of " + r.Was.Origin})
	}
	return rows
}

func (p *Preview) unitRows() [][]string {
	var rows [][]string
	for _, u := range p.Units {
		rows = append(rows, []string{"", u.Name, string(u.State), "from " + u.From, u.Why})
	}
	return rows
}

func (p *Preview) downloadRows() [][]string {
	var rows [][]string
	for _, d := range p.Downloads {
		rows = append(rows, []string{"", d.URL, d.size(), d.verdict()})
	}
	return rows
}

func (d Download) size() string {
	if !d.Checked || d.Error != "" {
		return "-"
	}
	return fmt.Sprintf("%d bytes", d.Size)
}

func (d Download) verdict() string {
	kind, _, _ := strings.Cut(d.Hash, "-")
	switch {
	case d.Error != "":
		return "failed"
	case d.tang:
		return "the keys of a Tang server"
	case d.local():
		return "on the OEM partition of the machine"
	case !d.Checked:
		return "not checked"
	case d.Hash == "":
		return "no hash to verify, sha256 " + d.SHA256[:8]
	}
	return "verified by " + kind
}

func (p *Preview) rebootRows() [][]string {
	var rows [][]string
	for _, r := range p.Reboots {
		rows = append(rows, []string{"", "once, for " + r.Why, r.At.String()})
	}
	return rows
}
