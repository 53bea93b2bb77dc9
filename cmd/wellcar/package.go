package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/release"
	"wellcar.dev/internal/sys/durable"
)

const packageLong = `Puts manifest, signature and full payload of a release folder into one file, for
update servers that hand out one file for each version, such as Nebraska: add a
package with the version, URL and name of the file, and the size and digests
that this prints. Machines take the file from there, and deltas and the block
index from beside it, if they are there.`

func packageCommand(a *app) *cobra.Command {
	var dir, out string
	c := &cobra.Command{
		Use:     "package --release DIR --out FILE",
		Short:   "Put a release into one file, for update servers such as Nebraska",
		Long:    packageLong,
		Example: "  wellcar package --release releases/0.2.0 --out " + release.PackageFile,
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&dir, "release", "", "release folder")
	c.Flags().StringVar(&out, "out", "", "`file` to write")
	c.RunE = func(*cobra.Command, []string) error {
		if dir == "" || out == "" {
			return withCode(exitUsage, errors.New("name the release folder with --release and the file with --out"))
		}
		return writePackage(a, dir, out)
	}
	return c
}

func writePackage(a *app, dir, out string) error {
	manifest, err := os.ReadFile(filepath.Join(dir, release.ManifestFile))
	if err != nil {
		return fmt.Errorf("reading the release: %w", err)
	}
	signature, err := os.ReadFile(filepath.Join(dir, release.SignatureFile))
	if err != nil {
		return fmt.Errorf("reading the release: %w", err)
	}
	m, err := release.Inspect(manifest)
	if err != nil {
		return err
	}
	full, ok := m.Find(release.Full, "")
	if !ok {
		return fmt.Errorf("reading the release in %s: it has no full payload", dir)
	}
	payload, err := os.Open(filepath.Join(dir, full.Name))
	if err != nil {
		return fmt.Errorf("reading the release: %w", err)
	}
	defer payload.Close()
	f, err := durable.Create(out, 0o644)
	if err != nil {
		return err
	}
	defer f.Abort()
	short, long := sha1.New(), sha256.New()
	if err := release.WritePackage(io.MultiWriter(f, short, long), manifest, signature, payload); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	sum1, sum256 := base64.StdEncoding.EncodeToString(short.Sum(nil)), long.Sum(nil)
	a.show.result("package", map[string]any{"file": out, "version": m.Version, "size": size, "sha1": sum1, "sha256": hex.EncodeToString(sum256)},
		fmt.Sprintf("version  %s\nsize     %d\nsha1     %s\nsha256   %s", m.Version, size, sum1, base64.StdEncoding.EncodeToString(sum256)))
	return nil
}
