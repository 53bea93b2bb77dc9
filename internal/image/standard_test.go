package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/bootargs"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image/unpacked"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
)

// makeDeb wraps a package of the fakes into an ar archive, as deb(5) has it.
func makeDeb(t *testing.T, files entries) []byte {
	t.Helper()
	var control, out bytes.Buffer
	w := tar.NewWriter(&control)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", control.Bytes()}, {"data.tar", makePackage(t, files)}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		out.Write(m.data)
		if len(m.data)%2 != 0 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

// addOnStub is the smallest PE32+ image that a section can be added to.
func addOnStub() string {
	f := make([]byte, 512)
	copy(f, "MZ")
	f[0x3c] = 0x40
	copy(f[0x40:], "PE\x00\x00\x64\x86")
	f[0x54], f[0x58], f[0x59] = 112, 0x0b, 0x02 // size of the optional header, and its kind
	f[0x79], f[0x7d], f[0x95] = 0x10, 0x02, 0x02
	return string(f)
}

// TestStandardFormats builds a disk with the real formats, but for the kernel
// modules and the unified kernel image, which need real programs, and reads
// the /usr image back.
func TestStandardFormats(t *testing.T) {
	in := testInput(t, testRecipe(t, nil), testPackages())
	fake := in.Formats
	in.Formats = StandardFormats()
	in.Formats.UKI, in.Formats.Modules = fake.UKI, fake.Modules
	in.Recipe.Platform = "gcp"
	packages := testPackages()
	packages["systemd-boot-efi"]["usr/"+layout.AddOnStub] = addOnStub()
	for i, p := range in.Lock.Packages {
		in.Lock.Packages[i].Size = int64(len(makeDeb(t, packages[p.Name])))
	}
	in.Open = func(p lock.Package) (unpacked.Source, error) {
		return openPackage{bytes.NewReader(makeDeb(t, packages[p.Name]))}, nil
	}
	result, err := Build(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := os.Open(filepath.Join(in.Out, DiskFile))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	_, size := place()
	if table, _, err := gpt.Read(disk, size, 512); err != nil || len(table.Partitions) != 7 {
		t.Errorf("partition table: %v, %v", table, err)
	}
	esp, err := fat.Open(io.NewSectionReader(disk, partition(layout.ESP).offset, partition(layout.ESP).Size))
	if err != nil {
		t.Fatal(err)
	}
	if addOn, err := esp.ReadFile(layout.KernelAddOn); err != nil || bootargs.Line(addOn) != "flatcar.oem.id=gce" {
		t.Errorf("the add-on has %q, %v", bootargs.Line(addOn), err)
	}
	usr := result.Record.Usr
	var root [32]byte
	if _, err := hex.Decode(root[:], []byte(result.Record.RootHash)); err != nil {
		t.Fatal(err)
	}
	if err := verity.Verify(disk, usr.Offset, usr.DataSize, root); err != nil {
		t.Error(err)
	}
	image, err := erofs.Open(io.NewSectionReader(disk, usr.Offset, usr.DataSize))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := image.Tree()
	if err != nil {
		t.Fatal(err)
	}
	if n := tree.Get("bin/bash"); n == nil || n.Mode != 0o755 || n.Blob.Size != 4 {
		t.Errorf("bin/bash: %+v", n)
	}
	if tree.Len() != len(result.Contents)+1 {
		t.Errorf("%d names in the image, %d in the list", tree.Len(), len(result.Contents)+1)
	}
}
