package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/lock"
)

const verifyLong = `With --key, checks a release folder against the keys in that file: the signature
of its manifest, and size and digest of each file, or of one file of it. A package
(.wcu) is checked by the manifest within it. If the file holds an OpenPGP key,
the .sig files are checked. Exit status 3 if something does not hold.

Without --key, builds an image again from the recipe and the lock that are recorded beside it
and compares every byte. The programs beside this one must be those that the
image was made with. Exit status 3 if a file differs.`

func verifyCommand(a *app) *cobra.Command {
	w := &workshop{}
	c := &cobra.Command{
		Use:   "verify [IMAGE] | --key FILE RELEASE|FILE",
		Short: "Check a release by its keys, or rebuild an image and compare",
		Long:  verifyLong,
		Example: `  wellcar verify
  wellcar verify out/wellcar.img
  wellcar verify --key keys/root.pub.pem releases/0.1.0
  wellcar verify --key keys/root.pub.pem wellcar_production_update.wcu
  wellcar verify --key keys/image.pub.asc releases/0.1.0/wellcar.img.zst`,
		Args: cobra.MaximumNArgs(1),
	}
	w.buildFlags(c.Flags())
	key := c.Flags().String("key", "", "check a release by the public keys in `FILE`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *key != "" && len(args) == 0 {
			return withCode(exitUsage, errors.New("--key checks a release: name its folder or one of its files"))
		}
		if *key != "" {
			return verifyRelease(c.Context(), a, *key, args[0])
		}
		w.logf = a.show.note
		return w.verify(c.Context(), a, buildFolder(args, 0, defaultOut))
	}
	return c
}

// buildFolder is the folder of a build that is named by itself or by its image.
func buildFolder(args []string, i int, fallback string) string {
	if i >= len(args) {
		return fallback
	}
	if info, err := os.Stat(args[i]); err == nil && !info.IsDir() {
		return filepath.Dir(args[i])
	}
	return args[i]
}

func (w *workshop) verify(ctx context.Context, a *app, dir string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".verify-")
	if err != nil {
		return fmt.Errorf("verifying %s: %w", dir, err)
	}
	defer os.RemoveAll(scratch)
	differ, err := image.Verify(ctx, dir, scratch, func(ctx context.Context, r image.Recipe, l lock.Lock, out string) (image.Result, error) {
		in, err := w.inputOf(ctx, a.show.progress, r, l, imageGroups)
		if err != nil {
			return image.Result{}, err
		}
		result, _, err := w.buildImage(ctx, a.show.progress, in, out)
		return result, err
	})
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		return withCode(exitDiffers, fmt.Errorf("%s differs from its rebuild in %s", dir, strings.Join(differ, ", ")))
	}
	a.show.result("verified", map[string]any{"folder": dir}, dir+": the rebuild has the same bytes")
	return nil
}
