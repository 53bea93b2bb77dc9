package page

import (
	"fmt"
	"slices"
)

// Config is a configuration to boot with.
type Config struct {
	Name string // page:line
	Data []byte // Butane
}

// Boot is one machine for one or several pages.
type Boot struct {
	Name    string
	Machine Machine
	Configs []Config // to be merged, in their order
	Pages   []Page
}

// Group puts pages that share a machine together, in the order of the first
// page of each group.
func Group(pages []Page) []Boot {
	var boots []Boot
	shared := map[string]int{}
	for _, p := range pages {
		i, ok := shared[p.Meta.Machine.Share]
		if share := p.Meta.Machine.Share; share == "" || !ok {
			i = len(boots)
			boots = append(boots, Boot{Name: share})
			if share == "" {
				boots[i].Name = p.File
			} else {
				shared[share] = i
			}
		}
		b := &boots[i]
		b.Machine = b.Machine.join(p.Meta.Machine)
		b.Pages = append(b.Pages, p)
		for _, block := range p.Blocks {
			if block.Kind == Butane {
				b.Configs = append(b.Configs, Config{fmt.Sprintf("%s:%d", p.File, block.Line), []byte(block.Text)})
			}
		}
	}
	return boots
}

// Boots tells whether any page of the boot needs its machine.
func (b Boot) Boots() bool {
	for _, p := range b.Pages {
		for _, block := range p.Blocks {
			if block.Kind != Host {
				return true
			}
		}
	}
	return false
}

// Needs tells whether any page of the boot needs something.
func (b Boot) Needs(what string) bool {
	return slices.ContainsFunc(b.Pages, func(p Page) bool { return slices.Contains(p.Meta.Needs, what) })
}
