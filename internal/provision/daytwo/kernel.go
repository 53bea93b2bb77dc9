package daytwo

import (
	"context"
	"errors"
	"slices"

	"wellcar.dev/internal/format/cmdline"
	"wellcar.dev/internal/provision"
)

// kernel compares kernel arguments one by one. What only the old config asked
// for is taken away, unless it is part of what the new one asks for.
func (p *Plan) kernel(old, new []provision.Step) {
	was, at := arguments(old)
	is, newAt := arguments(new)
	if !newAt.IsZero() {
		at = newAt
	}
	k := provision.KernelArguments{Add: without(is.Add, was.Add), Remove: without(is.Remove, was.Remove)}
	for _, item := range without(was.Add, is.Add) {
		part := slices.ContainsFunc(is.Add, func(line string) bool { return cmdline.Has(line, item) })
		if !part && !slices.Contains(k.Remove, item) {
			k.Remove = append(k.Remove, item)
		}
	}
	if len(k.Add)+len(k.Remove) > 0 {
		p.Changes = append(p.Changes, Change{Op: Alter, What: "kernel arguments", Name: k.Summary().Name, At: at, Need: NeedReboot, kernel: &k})
	}
}

// arguments are those of a config.
func arguments(steps []provision.Step) (provision.KernelArguments, provision.Position) {
	for _, s := range steps {
		if k, ok := s.Action.(*provision.KernelArguments); ok {
			return *k, s.At
		}
	}
	return provision.KernelArguments{}, provision.Position{}
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(item string) bool { return slices.Contains(others, item) })
}

func (p Plan) kernelChange() (Change, bool) {
	i := slices.IndexFunc(p.Changes, func(c Change) bool { return c.kernel != nil })
	if i < 0 {
		return Change{}, false
	}
	return p.Changes[i], true
}

// inverse takes a change back where the kernel was to get some words before.
func inverse(k provision.KernelArguments, words string) *provision.KernelArguments {
	had := func(item string) bool { return cmdline.Has(words, item) }
	return &provision.KernelArguments{
		Add:    slices.DeleteFunc(slices.Clone(k.Remove), func(item string) bool { return !had(item) }),
		Remove: slices.DeleteFunc(slices.Clone(k.Add), had),
	}
}

// Line is the words that a kernel is started with next.
type Line struct{ Image, Own string }

// kernelDiffers says in what a machine's next start is not as a config wants it.
// The image's words are there with any config.
func kernelDiffers(steps []provision.Step, line *Line) []Difference {
	want, at := arguments(steps)
	if line == nil {
		return nil
	}
	var out []Difference
	for _, item := range want.Add {
		if !cmdline.Has(line.Own, item) && !cmdline.Has(line.Image, item) {
			out = append(out, Difference{"kernel argument", item, at, "missing"})
		}
	}
	for _, item := range want.Remove {
		if cmdline.Has(line.Own, item) {
			out = append(out, Difference{"kernel argument", item, at, "is there"})
		}
	}
	return out
}

// NextLine asks only for a config that says something of it, as the answer may
// have to be read from a partition that is not mounted. Only Drift needs it.
func NextLine(ctx context.Context, t provision.Target, s State) (*Line, error) {
	if k, _ := arguments(s.Steps); len(k.Add)+len(k.Remove) == 0 || t.Kernel == nil {
		return nil, nil
	}
	image, own, err := t.Kernel.Words(ctx)
	return &Line{image, own}, err
}

// saveKernel notes how to take the change of the kernel arguments back.
func (j *Journal) saveKernel(ctx context.Context, t provision.Target, p Plan) error {
	c, ok := p.kernelChange()
	if !ok {
		return nil
	}
	_, words, err := t.Kernel.Words(ctx)
	j.Kernel = inverse(*c.kernel, words)
	return err
}

var errNoKernel = errors.New("this machine's kernel arguments cannot be changed from here")

// setKernel tells whether the machine must restart for what it changed.
func setKernel(ctx context.Context, t provision.Target, k *provision.KernelArguments) (restart bool, err error) {
	if k == nil {
		return false, nil
	}
	if t.Kernel == nil {
		return false, errNoKernel
	}
	return t.Kernel.Change(ctx, k.Add, k.Remove)
}
