package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/archive"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/sys/durable"
)

const lockLong = `Chooses the newest packages of the signed archive for everything that the
recipe names (the image, the tools that the build runs, the containers of the
examples) and writes them to lock.json in the recipe's folder: exact versions,
sizes and hashes. With --check nothing is written; the exit status is 3 if the
lock would change.`

func lockCommand(a *app) *cobra.Command {
	w := &workshop{}
	var check bool
	c := &cobra.Command{
		Use:   "lock",
		Short: "Pin the newest packages of the signed archive",
		Long:  lockLong,
		Example: `  wellcar lock
  wellcar lock --check`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&w.recipeDir, "recipe", defaultRecipe, "folder of the recipe")
	c.Flags().StringVar(&w.archive, "archive", "", "archive address `URL[,SECURITY_URL]`")
	c.Flags().BoolVar(&check, "check", false, "only tell whether the lock is current")
	c.RunE = func(c *cobra.Command, _ []string) error {
		w.logf = a.show.note
		r, err := w.recipe()
		if err != nil {
			return err
		}
		cache, o, err := w.cache(a.show.progress)
		if err != nil {
			return err
		}
		l, err := archive.UpdateLock(c.Context(), archive.Options{
			Cache: cache, Want: groupWants(r), Drop: r.Drop, FetchOptions: o,
		})
		if err != nil {
			return err
		}
		return w.saveLock(a, l, check)
	}
	return c
}

// saveLock writes the lock if it differs from the one that is there.
func (w *workshop) saveLock(a *app, l lock.Lock, check bool) error {
	data, err := lock.Marshal(l)
	if err != nil {
		return err
	}
	name := filepath.Join(w.recipeDir, lockName)
	old, err := os.ReadFile(name)
	if ignoreAbsent(err) != nil {
		return fmt.Errorf("reading the lock: %w", err)
	}
	changes := lockChanges(old, l)
	for _, change := range changes {
		a.show.note("%s", change)
	}
	if check && len(changes) > 0 {
		return withCode(exitDiffers, fmt.Errorf("%s is not current: %d changes", name, len(changes)))
	}
	if !check && !bytes.Equal(old, data) {
		if err := durable.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("writing the lock: %w", err)
		}
	}
	a.show.result("locked", map[string]any{"packages": len(l.Packages), "changes": len(changes)},
		fmt.Sprintf("%s: %d packages, %d changed", name, len(l.Packages), len(changes)))
	return nil
}

// lockChanges says how the packages differ from an old lock's.
func lockChanges(old []byte, l lock.Lock) []string {
	before := map[string]string{}
	if parsed, err := lock.Parse(old); err == nil {
		for _, p := range parsed.Packages {
			before[p.Name] = p.Version
		}
	}
	var changes []string
	for _, p := range l.Packages {
		switch was, known := before[p.Name]; {
		case !known:
			changes = append(changes, fmt.Sprintf("new: %s %s", p.Name, p.Version))
		case was != p.Version:
			changes = append(changes, fmt.Sprintf("changed: %s %s -> %s", p.Name, was, p.Version))
		}
		delete(before, p.Name)
	}
	return append(changes, gone(before)...)
}
