package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/image/publish"
	"wellcar.dev/internal/sys/hermetic"
)

// updatePackages have the programs that others make updates with.
var updatePackages = []string{"zstd", "xdelta3", "casync"}

// others gives the same /usr images to other programs, without the kernel
// image and without a verity tree.
func (p *updatePair) others(ctx context.Context, o updateOptions) []updateRow {
	set, err := updateTools(ctx, o)
	if err == nil {
		err = p.writeImages()
	}
	if err != nil {
		return []updateRow{{what: "others", skip: err.Error()}}
	}
	old, next := filepath.Join(p.dir, "old.usr"), filepath.Join(p.dir, "new.usr")
	out := filepath.Join(p.dir, "peer")
	rows := []updateRow{
		p.tool(ctx, set, "zstd -19 --long=27, whole /usr", out, "zstd", "-19", "--long=27", "-T1", "-q", "-f", next, "-o", out),
		p.tool(ctx, set, "zstd -19 --patch-from, whole /usr", out, "zstd", "-19", "--long=30", "-T1", "-q", "-f", "--patch-from="+old, next, "-o", out),
		p.tool(ctx, set, "xdelta3 -9, whole /usr", out, "xdelta3", "-9", "-B", "1073741824", "-S", "lzma", "-f", "-e", "-s", old, next, out),
	}
	return append(rows, p.casync(ctx, set, old, next))
}

func updateTools(ctx context.Context, o updateOptions) (hermetic.Set, error) {
	cache := archive.Cache{Dir: o.cache, Client: archive.Client{Mirror: archive.Addresses(o.archive, "", archive.HostSources())}}
	l, err := archive.UpdateLock(ctx, archive.Options{Cache: cache, Want: map[string][]string{"peers": updatePackages}})
	if err != nil {
		return hermetic.Set{}, fmt.Errorf("resolving other programs: %w", err)
	}
	paths, err := cache.Fetch(ctx, l.Packages, archive.FetchOptions{})
	if err != nil {
		return hermetic.Set{}, fmt.Errorf("fetching other programs: %w", err)
	}
	set := hermetic.Set{Dir: filepath.Join(o.cache, "bench", "update", "tools")}
	var debs []string
	for _, p := range l.Packages {
		debs = append(debs, paths[p.SHA256])
	}
	return set, archive.Unpack(ctx, debs, set.Dir)
}

// writeImages writes both /usr file systems as files.
func (p *updatePair) writeImages() error {
	for name, dir := range map[string]string{"old.usr": p.old, "new.usr": p.next} {
		i, done, err := publish.OpenImage(dir)
		if err != nil {
			return err
		}
		defer done()
		f, err := os.Create(filepath.Join(p.dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(f, io.NewSectionReader(i.Usr, 0, i.Release.UsrSize)); err != nil {
			return err
		}
	}
	return nil
}

// tool runs a program that writes one file.
func (p *updatePair) tool(ctx context.Context, set hermetic.Set, what, out, name string, args ...string) updateRow {
	fmt.Fprintln(os.Stderr, what)
	cmd, err := set.Command(ctx, name, args...)
	if err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	cost, _, err := run(ctx, cmd, filepath.Join(p.dir, "log", name))
	if err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	info, err := os.Stat(out)
	if err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	return updateRow{what: what, bytes: info.Size(), cost: cost}
}

// casync counts the chunks that a store with the old image lacks, and the
// index of the new one.
func (p *updatePair) casync(ctx context.Context, set hermetic.Set, old, next string) updateRow {
	what := "casync, missing chunks and index"
	store := filepath.Join(p.dir, "store")
	if err := os.RemoveAll(store); err != nil {
		return updateRow{what: what, skip: err.Error()}
	}
	index := filepath.Join(p.dir, "new.caibx")
	first := p.tool(ctx, set, "casync, old", filepath.Join(p.dir, "old.caibx"), "casync", "make", "--store="+store, filepath.Join(p.dir, "old.caibx"), old)
	before, err := folderSize(store)
	if first.skip != "" || err != nil {
		return updateRow{what: what, skip: first.skip}
	}
	row := p.tool(ctx, set, what, index, "casync", "make", "--store="+store, index, next)
	after, err := folderSize(store)
	if err != nil {
		row.skip = err.Error()
	}
	row.bytes += after - before
	return row
}

func folderSize(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
