package kmodinfo_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/format/kmodinfo"
	"wellcar.dev/internal/format/kmodinfo/kmodinfotest"
)

func TestRead(t *testing.T) {
	raw := kmodinfotest.Module([]string{"license=GPL", "parm=speed:How fast", "parmtype=speed:int", "alias=pci:v*", "", "alias=net-pf-9",
		"depends=a,b_c", "softdep=pre: x", "firmware=f.bin", "name=my_mod", "vermagic=6.12 SMP"}, []string{"printk", "other"}, []string{"mine"})
	got, err := kmodinfo.Read(bytes.NewReader(append(raw, "~Module signature appended~\n"...)))
	want := kmodinfo.Info{
		Name: "my_mod", Depends: []string{"a", "b_c"}, Aliases: []string{"pci:v*", "net-pf-9"}, Softdeps: []string{"pre: x"},
		Firmware: []string{"f.bin"}, Params: []kmodinfo.Param{{Name: "speed", Type: "int", Desc: "How fast"}}, License: "GPL", Vermagic: "6.12 SMP",
		Exports: []string{"mine"}, Undefined: []string{"printk", "other"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for n := range len(raw) {
		kmodinfo.Read(bytes.NewReader(raw[:n])) // must not panic
	}
	if _, err := kmodinfo.Read(bytes.NewReader([]byte("\xfd7zXZ\x00"))); err == nil {
		t.Error("a compressed module was read")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(kmodinfotest.Module([]string{"name=x", "alias=y"}, []string{"printk"}, []string{"mine"}))
	f.Fuzz(func(t *testing.T, raw []byte) { kmodinfo.Read(bytes.NewReader(raw)) })
}
