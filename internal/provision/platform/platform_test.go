package platform

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
)

func key(fsys fstest.MapFS, name, text, size string) {
	dir := "firmware/qemu_fw_cfg/by_name/" + name
	fsys[dir+"/raw"] = &fstest.MapFile{Data: []byte(text)}
	fsys[dir+"/size"] = &fstest.MapFile{Data: []byte(size)}
}

func TestQEMUPrefersFlatcar(t *testing.T) {
	sys := fstest.MapFS{}
	got, err := Find(context.Background(), "qemu", Env{Sys: sys})
	if err != nil || got.User.Data != nil {
		t.Fatalf("no keys: %+v, %v", got, err)
	}
	key(sys, fwCoreOS, "old", "3\n")
	key(sys, fwSource, "text", "4\n")
	if got, err = Find(context.Background(), "qemu", Env{Sys: sys}); err != nil || string(got.User.Data) != "old" || string(got.User.Source) != "text" {
		t.Fatalf("one key: %+v, %v", got, err)
	}
	key(sys, fwFlatcar, "", "0\n")
	if got, err = Find(context.Background(), "qemu", Env{Sys: sys}); err != nil || got.User.Data == nil || len(got.User.Data) != 0 {
		t.Fatalf("empty key: %+v, %v", got, err)
	}
	key(sys, fwFlatcar, "short", "9\n")
	if _, err = Find(context.Background(), "qemu", Env{Sys: sys}); err == nil || !strings.Contains(err.Error(), "5 of 9") {
		t.Fatalf("short read: %v", err)
	}
}

func TestOEMBeatsPlatform(t *testing.T) {
	sys := fstest.MapFS{}
	key(sys, fwFlatcar, "cloud", "5")
	oem := fstest.MapFS{"base/base.ign": {Data: []byte("base")}, "config.ign": {Data: []byte("user")}}
	got, err := Find(context.Background(), "qemu", Env{Sys: sys, OEM: oem})
	if err != nil || string(got.Base.Data) != "base" || string(got.User.Data) != "user" || got.User.Name != "/oem/config.ign" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestUnknownPlatform(t *testing.T) {
	_, err := Find(context.Background(), "aws", Env{})
	if err == nil || !strings.Contains(err.Error(), "file, metal, qemu") {
		t.Fatal(err)
	}
}
