package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/cpio"
	"wellcar.dev/internal/format/deb"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/kmodinfo"
	"wellcar.dev/internal/format/ldcache"
	"wellcar.dev/internal/format/modindex"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image/modules"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/hermetic"
)

// StandardFormats are the project's own readers and writers.
func StandardFormats() Formats {
	return Formats{
		Extract:     extractDeb,
		Usr:         writeUsr,
		FAT:         writeFAT,
		GPT:         writeGPT,
		UKI:         buildUKI,
		AddOn:       bootargs.Make,
		Cpio:        cpio.Write,
		LoaderCache: loaderCache,
		Modules:     readModules,
	}
}

// StandardTools runs the programs of a hermetic tool set.
func StandardTools(set hermetic.Set) Tools {
	return func(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
		cmd, err := set.Command(ctx, name, args...)
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", name, err)
		}
		if cmd.Env == nil {
			cmd.Env = set.Environ(os.Environ())
		}
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return out, fmt.Errorf("running %s: %w", name, err)
		}
		return out, nil
	}
}

func extractDeb(pkg io.ReaderAt, size int64, data io.Writer, keep func(path string) bool) ([]fstree.Node, error) {
	p, err := deb.Open(pkg, size)
	if err != nil {
		return nil, err
	}
	entries, err := deb.Extract(p, data, keep)
	if err != nil {
		return nil, err
	}
	nodes := make([]fstree.Node, len(entries))
	for i, e := range entries {
		nodes[i] = e.Node(nil, "")
	}
	return nodes, nil
}

// writeUsr writes EROFS and, behind it, the verity superblock and tree.
func writeUsr(f Disk, base int64, tree *fstree.Tree, o UsrOptions) (Usr, error) {
	plan, err := erofs.Plan(tree, erofs.Options{UUID: o.UUID, Label: "usr", BuildTime: o.BuildTime, Parallel: o.Parallel})
	if err != nil {
		return Usr{}, err
	}
	if err := plan.WriteTo(io.NewOffsetWriter(f, base)); err != nil {
		return Usr{}, err
	}
	t, err := verity.Append(f, base, plan.Size(), verity.Params{Salt: o.Salt[:], UUID: o.TreeUUID, Parallel: o.Parallel})
	if err != nil {
		return Usr{}, err
	}
	return Usr{
		RootHash: t.RootHash, DataSize: plan.Size(), TreeSize: t.Size,
		MetaSize: plan.Stats.MetaBytes, Shared: plan.Stats.SharedBytes,
	}, nil
}

func writeFAT(w io.WriterAt, size int64, label string, serial uint32, tree *fstree.Tree) error {
	return fat.Write(w, size, fat.Options{Label: label, VolumeID: serial, Time: time.Unix(0, 0)}, tree)
}

func writeGPT(w io.WriterAt, t Table) error {
	guid, err := gpt.ParseGUID(t.DiskGUID)
	if err != nil {
		return err
	}
	table := gpt.Table{DiskGUID: guid, SectorSize: layout.SectorSize, Sectors: t.Sectors}
	for _, e := range t.Entries {
		p := gpt.Partition{Number: e.Number, Name: e.Name, First: e.First, Last: e.Last, Attributes: e.Attributes}
		if p.Type, err = gpt.ParseGUID(e.Type); err != nil {
			return err
		}
		if p.GUID, err = gpt.ParseGUID(e.GUID); err != nil {
			return err
		}
		table.Partitions = append(table.Partitions, p)
	}
	return table.Write(w)
}

func buildUKI(p UKIParts) ([]byte, error) {
	return pe.Build(p.Stub, pe.UKI{
		OSRelease: p.OSRelease, Cmdline: p.Cmdline, Uname: p.Uname, Initrd: p.Initrd, Kernel: p.Kernel,
	}.Sections())
}

func loaderCache(tree *fstree.Tree, dirs []string) ([]byte, error) {
	entries, err := ldcache.Scan(tree, dirs)
	if err != nil {
		return nil, err
	}
	return ldcache.Write(entries), nil
}

// readModules reads all modules, several at a time, and makes their indexes.
func readModules(files []ModuleFile, order, builtin, builtinInfo []byte) ([]modules.Info, map[string][]byte, error) {
	infos := make([]modules.Info, len(files))
	mods := make([]modindex.Module, len(files))
	group, _ := errgroup.WithContext(context.Background())
	group.SetLimit(runtime.NumCPU())
	for i, f := range files {
		group.Go(func() error {
			data, err := f.Blob.Bytes()
			if err != nil {
				return fmt.Errorf("reading the kernel module %s: %w", f.Path, err)
			}
			info, err := kmodinfo.Read(bytes.NewReader(data))
			if err != nil {
				return fmt.Errorf("reading the kernel module %s: %w", f.Path, err)
			}
			mods[i] = modindex.Module{Path: f.Path, Info: info}
			infos[i] = modules.Info{
				Path: f.Path, Name: info.Name, Depends: info.Depends, Softdeps: info.Softdeps, Aliases: info.Aliases,
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	index, err := modindex.Build(mods, order, builtin, builtinInfo)
	return infos, index, err
}
