package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"wellcar.dev/internal/format/grubcfg"
	"wellcar.dev/internal/image/derived"
	"wellcar.dev/internal/layout"
)

// oemRelease is the text of oem-release. The partition stays as it is when the
// system is updated, so it has no version.
func oemRelease(p layout.Platform) string {
	rest := "VERSION_ID=\"\"\nHOME_URL=\"\"\nBUG_REPORT_URL=\"\"\n"
	if p.ID == "" {
		return "ID=\"\"\nNAME=\"\"\n" + rest
	}
	return fmt.Sprintf("ID=%s\nNAME=%q\n", p.OEM, p.Name) + rest // scripts read the ID without a shell: no quotes
}

// oemGrub is the text of grub.cfg.
func oemGrub(p layout.Platform) string {
	text := ""
	if p.Word != "" {
		text = fmt.Sprintf("# Where the configuration of the machine comes from.\nset oem_id=%q\n\n", p.Word)
	}
	text += "# Words for the kernel command line, for instance:\n# set linux_append=\"$linux_append mitigations=auto,nosmt\"\n"
	if p.Append != "" {
		text += fmt.Sprintf("set linux_append=%q\n", p.Append)
	}
	return text
}

// ownWords are what grub.cfg adds to the kernel command line.
func (b *builder) ownWords() string { return grubcfg.Parse(oemGrub(b.platform)).Line() }

// addOn makes what brings these words to the kernel under UEFI, so that the
// first boot has them without a restart.
func (b *builder) addOn() ([]byte, error) {
	n := b.tree.Get("usr/" + layout.AddOnStub)
	if n == nil {
		return nil, fmt.Errorf("making the add-on of the kernel: no package brings usr/%s", layout.AddOnStub)
	}
	var file []byte
	stub, err := n.Blob.Bytes()
	if err == nil {
		file, err = b.Formats.AddOn(stub, b.ownWords())
	}
	if err != nil {
		return nil, fmt.Errorf("making the add-on of the kernel: %w", err)
	}
	return file, nil
}

// makeOEM makes the file system of the OEM partition: its parts that are not
// zero, by their offset in hexadecimal.
func (b *builder) makeOEM(ctx context.Context) (derived.Files, error) {
	size, release, grub := partition(layout.OEM).Size, oemRelease(b.platform), oemGrub(b.platform)
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %q %q\n", size, buildTime, release, grub)
	for _, p := range b.Lock.Group("tools") { // mke2fs and its libraries
		fmt.Fprintln(h, p.SHA256)
	}
	files, err := b.derived.Get(ctx, "oem-1", [32]byte(h.Sum(nil)), func(ctx context.Context) (derived.Files, error) {
		return b.formatOEM(ctx, size, [][2]string{{"oem-release", release}, {"grub.cfg", grub}})
	})
	if err != nil {
		return nil, fmt.Errorf("making the OEM file system: %w", err)
	}
	return files, nil
}

// formatOEM makes the file system first and writes the files, names and texts,
// into it then, because mke2fs -d would copy the owner of the build.
func (b *builder) formatOEM(ctx context.Context, size int64, files [][2]string) (derived.Files, error) {
	dir, err := os.MkdirTemp(b.Out, ".oem-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	script := ""
	for _, f := range files {
		name := filepath.Join(dir, f[0])
		if err := os.WriteFile(name, []byte(f[1]), 0o644); err != nil {
			return nil, err
		}
		if err := os.Chmod(name, 0o644); err != nil { // whatever the umask
			return nil, err
		}
		script += fmt.Sprintf("write %q %s\n", name, f[0])
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o666); err != nil {
		return nil, err
	}
	image, id := filepath.Join(dir, "image"), layout.FormatUUID(layout.DerivedGUID("OEM file system", nil))
	env := []string{"E2FSPROGS_FAKE_TIME=" + strconv.Itoa(buildTime), "SOURCE_DATE_EPOCH=" + strconv.Itoa(buildTime), "MKE2FS_CONFIG=/dev/null", "TZ=UTC0"}
	for _, command := range [][]string{
		{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-L", "OEM", "-U", id, "-O", "has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize",
			"-E", "hash_seed=" + id + ",root_owner=0:0,nodiscard,lazy_itable_init=1", image, strconv.FormatInt(size>>10, 10) + "k"},
		{"debugfs", "-w", "-f", filepath.Join(dir, "script"), image},
	} {
		if out, err := b.Tools(ctx, env, command[0], command[1:]...); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
	}
	return readExtents(image)
}

const extentUnit = 64 << 10 // bytes

// readExtents collects the parts of a sparse file that are not zero.
func readExtents(name string) (derived.Files, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := derived.Files{}
	buf, zero := make([]byte, extentUnit), make([]byte, extentUnit)
	for at := int64(0); ; at += extentUnit {
		n, err := f.ReadAt(buf, at)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			files[fmt.Sprintf("%016x", at)] = append([]byte(nil), buf[:n]...)
		}
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func writeExtents(w io.WriterAt, base int64, files derived.Files) error {
	for _, name := range sortedKeys(files) {
		at, err := strconv.ParseInt(name, 16, 64)
		if err != nil {
			return fmt.Errorf("reading the offset %q: %w", name, fs.ErrInvalid)
		}
		if _, err := w.WriteAt(files[name], base+at); err != nil {
			return err
		}
	}
	return nil
}
