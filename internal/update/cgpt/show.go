//go:build linux

package cgpt

import (
	"fmt"
	"io"
	"strings"

	"wellcar.dev/internal/format/gpt"
)

// ShowOptions are the flags of show.
type ShowOptions struct {
	Number  int    // one partition; 0: all
	Field   string // of that partition, one of b s t u l A S T P; "": all
	Numeric bool   // -n: types as GUIDs, attributes in hexadecimal
	Quick   bool   // -q: partitions only, without a frame
}

// Show prints the table.
func (d *Disk) Show(w io.Writer, o ShowOptions) error {
	switch {
	case o.Number > 0:
		return d.showOne(w, o)
	case o.Quick:
		for _, p := range d.Table.Partitions {
			fmt.Fprintf(w, "%12d%12d%8d  %s\n", p.First, p.Sectors(), p.Number, d.typeOf(p, o))
		}
		return nil
	}
	return d.showAll(w, o)
}

const (
	frameFormat = "%12v%12v%8v  %s\n"
	moreFormat  = "%12s%12s%8s  %s\n"
)

func (d *Disk) showAll(w io.Writer, o ShowOptions) error {
	table := uint64(gpt.Entries * 128 / d.Table.SectorSize)
	fmt.Fprintf(w, frameFormat, "start", "size", "part", "contents")
	fmt.Fprintf(w, frameFormat, 0, 1, "", "PMBR")
	fmt.Fprintf(w, frameFormat, 1, 1, "", "Pri GPT header")
	fmt.Fprintf(w, frameFormat, 2, table, "", "Pri GPT table")
	for _, p := range d.Table.Partitions {
		d.showDetails(w, p, o)
	}
	fmt.Fprintf(w, frameFormat, d.Table.Sectors-1-table, table, "", "Sec GPT table")
	_, err := fmt.Fprintf(w, frameFormat, d.Table.Sectors-1, 1, "", "Sec GPT header")
	return err
}

func (d *Disk) showDetails(w io.Writer, p gpt.Partition, o ShowOptions) {
	fmt.Fprintf(w, frameFormat, p.First, p.Sectors(), p.Number, fmt.Sprintf("Label: %q", p.Name))
	fmt.Fprintf(w, moreFormat, "", "", "", "Type: "+d.typeOf(p, o))
	fmt.Fprintf(w, moreFormat, "", "", "", "UUID: "+upper(p.GUID))
	if attr := d.attributes(p, o); attr != "" {
		fmt.Fprintf(w, moreFormat, "", "", "", "Attr: "+attr)
	}
}

func (d *Disk) typeOf(p gpt.Partition, o ShowOptions) string {
	if o.Numeric {
		return upper(p.Type)
	}
	return shownType(p.Type)
}

func (d *Disk) attributes(p gpt.Partition, o ShowOptions) string {
	if o.Numeric {
		return fmt.Sprintf("[%x]", gpt.WithSlot(p.Attributes, d.state(p))>>48)
	}
	var words []string
	if p.Type == typeUsr {
		s := d.state(p)
		words = append(words, fmt.Sprintf("priority=%d tries=%d successful=%d", s.Priority, s.Tries, bit(s.Successful)))
	}
	if p.Attributes&gpt.AttrRequired != 0 {
		words = append(words, "Required Partition")
	}
	if p.Attributes&gpt.AttrLegacyBoot != 0 {
		words = append(words, "Legacy BIOS Bootable")
	}
	return strings.Join(words, " ")
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (d *Disk) showOne(w io.Writer, o ShowOptions) error {
	p, ok := d.Table.Partition(o.Number)
	if !ok {
		return fmt.Errorf("showing partition %d: the table has none of that number", o.Number)
	}
	s := d.state(p)
	fields := map[string]any{"b": p.First, "s": p.Sectors(), "t": upper(p.Type), "u": upper(p.GUID), "l": p.Name,
		"A": fmt.Sprintf("%#x", gpt.WithSlot(p.Attributes, s)>>48), "S": bit(s.Successful), "T": s.Tries, "P": s.Priority}
	if o.Field != "" {
		_, err := fmt.Fprintln(w, fields[o.Field])
		return err
	}
	d.showDetails(w, p, o)
	return nil
}
