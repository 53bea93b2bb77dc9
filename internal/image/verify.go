package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/release"
)

// Rebuild makes an image from a recorded recipe and lock in folder out. It
// is the caller's: it knows archive, tools and programs.
type Rebuild func(ctx context.Context, recipe Recipe, l lock.Lock, out string) (Result, error)

// Verify rebuilds the image in dir from the recipe and lock recorded beside
// it, in the empty folder scratch, and compares every file byte by byte. It
// returns the names of the files that differ, or that only one side has.
func Verify(ctx context.Context, dir, scratch string, rebuild Rebuild) ([]string, error) {
	recipe, l, err := recorded(dir, filepath.Join(scratch, "recipe"))
	if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", dir, err)
	}
	again := filepath.Join(scratch, "build")
	if _, err := rebuild(ctx, recipe, l, again); err != nil {
		return nil, fmt.Errorf("verifying %s: rebuilding: %w", dir, err)
	}
	var differ []string
	for _, name := range []string{DiskFile, UKIFile, ContentsFile, LockFile, RecipeFile, ConfigFile, BuildFile} {
		same, err := sameContent(ctx, filepath.Join(dir, name), filepath.Join(again, name))
		if err != nil {
			return nil, fmt.Errorf("verifying %s: %w", dir, err)
		}
		if !same {
			differ = append(differ, name)
		}
	}
	return differ, nil
}

// recorded reads the recipe and lock of a build, after checking that they
// are those that build.json names.
func recorded(dir, scratch string) (Recipe, lock.Lock, error) {
	record, err := ReadRecord(dir)
	if err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	for _, c := range [][2]string{{RecipeFile, record.Inputs.Recipe}, {LockFile, record.Inputs.Lock}} {
		sum, err := digestFile(filepath.Join(dir, c[0]))
		if err != nil {
			return Recipe{}, lock.Lock{}, err
		}
		if sum != c[1] {
			return Recipe{}, lock.Lock{}, fmt.Errorf("%s is not the one that %s names", c[0], BuildFile)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, LockFile))
	if err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	l, err := lock.Parse(data)
	if err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	archive, err := os.Open(filepath.Join(dir, RecipeFile))
	if err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	defer archive.Close()
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	if err := UnpackRecipe(archive, scratch); err != nil {
		return Recipe{}, lock.Lock{}, err
	}
	recipe, err := LoadRecipe(os.DirFS(scratch))
	if err == nil && !release.ValidVersion(record.Version) {
		err = fmt.Errorf("the version %q in %s is not MAJOR.MINOR.PATCH", record.Version, BuildFile)
	}
	recipe.Version, recipe.Platform = record.Version, record.Platform // a build may be told others than the recipe's
	return recipe, l, err
}

func digestFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
