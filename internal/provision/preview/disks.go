package preview

import (
	"fmt"

	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/provision"
	"wellcar.dev/internal/provision/partition"
)

// partitionRows are the partitions of each disk that is known, before and
// after.
func (p *Preview) partitionRows() (rows [][]string) {
	for _, s := range p.Steps {
		a, ok := s.Action.(*provision.PartitionDisk)
		if !ok || len(a.Before)+len(a.After) == 0 {
			continue
		}
		kinds := map[int]partition.Kind{}
		for _, c := range a.Changes {
			kinds[c.Number] = c.Kind
		}
		rows = append(rows, []string{"", a.Device, "before", "after", ""})
		before, after := byNumber(a.Before), byNumber(a.After)
		for n := 1; n <= gpt.Entries; n++ {
			before, after := before[n], after[n]
			if before.Number+after.Number == 0 {
				continue
			}
			kind := string(kinds[n])
			if a.WipeTable && before.Number != 0 && after.Number == 0 {
				kind = "lost with the table"
			}
			rows = append(rows, []string{"", fmt.Sprint(n), partitionWords(before), partitionWords(after), kind})
		}
	}
	return rows
}

func byNumber(list []provision.PartitionState) map[int]provision.PartitionState {
	out := map[int]provision.PartitionState{}
	for _, p := range list {
		out[p.Number] = p
	}
	return out
}

// partitionWords is a partition in a cell: data, 512 MiB at 1.
func partitionWords(p provision.PartitionState) string {
	switch {
	case p.Number == 0:
		return "-"
	case p.Label == "":
		return fmt.Sprintf("%d MiB at %d", p.SizeMiB, p.StartMiB)
	}
	return fmt.Sprintf("%s, %d MiB at %d", p.Label, p.SizeMiB, p.StartMiB)
}
