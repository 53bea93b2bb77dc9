package provision

import (
	"context"
	"errors"
	"strings"

	"wellcar.dev/internal/format/cmdline"
)

// ErrRestart ends the steps: the machine must restart before the others.
var ErrRestart = errors.New("the machine must restart for its kernel arguments")

// KernelLine changes the words that a machine's kernel is started with.
type KernelLine interface {
	// Change sees to it that the kernel gets some items and does not get
	// others, from the next start on. It tells whether a restart is needed
	// for that. An item can have several words, which stay together.
	Change(ctx context.Context, add, remove []string) (restart bool, err error)
	// Words are those that the kernel gets from the next start on: the image's and
	// the owner's.
	Words(ctx context.Context) (image, own string, err error)
}

// KernelArguments changes the kernel command line; the machine restarts then.
type KernelArguments struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// Kind implements Action.
func (*KernelArguments) Kind() string { return "kernel-arguments" }

// Summary implements Action.
func (a *KernelArguments) Summary() Summary {
	with, without := strings.Join(a.Add, " "), strings.Join(a.Remove, " ")
	if without != "" {
		without = "without " + without
	}
	return Summary{Verb: "set", Past: "set", What: "the kernel arguments", Name: join(with, without)}
}

func (a *KernelArguments) do(ctx context.Context, m *machine) (Outcome, error) {
	if m.Kernel == nil {
		return Failed, errors.New("this machine's kernel arguments cannot be changed from here")
	}
	restart, err := m.Kernel.Change(ctx, a.Add, a.Remove)
	if err != nil {
		return Failed, err
	}
	if m.restart = restart; !restart {
		return Kept, nil
	}
	return Done, nil
}

// kernelArguments plans the one step of the stage.
func (b *builder) kernelArguments() {
	k := b.Ignition.KernelArguments
	a := &KernelArguments{}
	var first Path
	for i, item := range k.ShouldExist {
		a.Add, first = append(a.Add, string(item)), Path{"kernelArguments", "shouldExist", 0}
		b.checkKernelArgument(string(item), Path{"kernelArguments", "shouldExist", i})
	}
	for i, item := range k.ShouldNotExist {
		at := Path{"kernelArguments", "shouldNotExist", i}
		a.Remove = append(a.Remove, string(item))
		if first == nil {
			first = at
		}
		b.checkKernelArgument(string(item), at)
		for _, add := range a.Add {
			if cmdline.Has(add, string(item)) {
				b.fail(at, "the kernel argument "+string(item)+" is not to be there, but is part of "+add+", which is", "leave one of the two out")
			}
		}
		if b.facts.imageHas(string(item)) {
			b.warn(at, "the kernel argument "+string(item)+" stays: it is part of the kernel file of each release",
				"of an option that is there twice most parts of the kernel take the last: add one that says otherwise to should_exist")
		}
	}
	if first != nil {
		b.add(StageKargs, first, a)
	}
}

// KernelChange is the place of the first kernel argument that a command line
// lacks or must lose, nil if there is none. The image's own words cannot be
// taken away, so they are no change.
func (c Config) KernelChange(line, image string) Path {
	k := c.Ignition.KernelArguments
	for i, item := range k.ShouldExist {
		if !cmdline.Has(line, string(item)) {
			return Path{"kernelArguments", "shouldExist", i}
		}
	}
	for i, item := range k.ShouldNotExist {
		if cmdline.Has(line, string(item)) && !cmdline.Has(image, string(item)) {
			return Path{"kernelArguments", "shouldNotExist", i}
		}
	}
	return nil
}

// checkKernelArgument refuses what would break the command line.
func (b *builder) checkKernelArgument(item string, at Path) {
	switch {
	case strings.TrimSpace(item) == "":
		b.fail(at, "an empty kernel argument", "write a word, or leave the entry out")
	case strings.ContainsAny(item, "\n\x00"):
		b.fail(at, "a kernel argument cannot have more than one line", "write one entry for each line")
	case strings.Count(item, `"`)%2 != 0:
		b.fail(at, "the quotes of the kernel argument "+item+" do not end", "close the quotes")
	}
}

// imageHas tells whether the image starts its kernel with an item.
func (f Facts) imageHas(item string) bool { return cmdline.Has(f.KernelLine, item) }
