//go:build linux

package initrd

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"wellcar.dev/internal/format/fat"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/grub"
	"wellcar.dev/internal/layout"
)

// TestNotesTrial: the booted system has word of a trial that restarts lead back
// from, and only then.
func TestNotesTrial(t *testing.T) {
	menu, err := grub.Env([]grub.Variable{{Name: "begin", Value: "x"}, {Name: "file_1", Value: "wellcar-2.0.0+3.efi"}, {Name: "tries_1", Value: "-II"}, {Name: "end", Value: "x"}}, layout.GrubEnvSize)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"by systemd-boot": {map[string]string{"EFI/Linux/wellcar-2.0.0+2-1.efi": "", "EFI/Linux/wellcar-1.0.0.efi": ""}, true},
		"by GRUB":         {map[string]string{"EFI/Linux/wellcar-2.0.0+3.efi": "", "EFI/Linux/wellcar-1.0.0.efi": "", layout.GrubEnv: string(menu)}, true},
		"moved":           {map[string]string{"EFI/Linux/wellcar-2.0.0+0-1.efi": "", layout.TakeoverState: "{}"}, true},
		"good":            {map[string]string{"EFI/Linux/wellcar-2.0.0.efi": "", "EFI/Linux/wellcar-1.0.0.efi": ""}, false},
		"alone":           {map[string]string{"EFI/Linux/wellcar-2.0.0+2-1.efi": ""}, false},
		"no kernels":      {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "flatcar.first_boot=0")
			put(t, f.root, map[string]string{"usr/lib/os-release": "VERSION_ID=2.0.0\n"})
			f.fillESP(c.files)
			if end := f.boot(nil); end != "handed over" {
				t.Fatal(end)
			}
			if _, err := os.Stat(filepath.Join(f.root, layout.OnTrial)); (err == nil) != c.want {
				t.Errorf("%v; %q", err, f.logs)
			}
		})
	}
}

// fillESP replaces the EFI system partition by one with those files.
func (f *fake) fillESP(files map[string]string) {
	w, err := os.OpenFile(f.disk, os.O_RDWR, 0)
	f.must(err)
	defer w.Close()
	table := testTable(53 * mebi)
	p, _ := table.Partition(1)
	esp := fstree.New()
	for name, text := range files {
		f.must(esp.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob([]byte(text))}))
	}
	at := int64(p.First) * 512
	_, err = io.CopyN(io.NewOffsetWriter(w, at), zeros{}, 40<<20)
	f.must(err)
	f.must(fat.Write(io.NewOffsetWriter(w, at), 40<<20, fat.Options{Label: "EFI-SYSTEM"}, esp))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
