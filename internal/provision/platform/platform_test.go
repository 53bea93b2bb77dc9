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
	got, err := User(context.Background(), "qemu", Env{Sys: sys})
	if err != nil || got.Data != nil {
		t.Fatalf("no keys: %+v, %v", got, err)
	}
	key(sys, fwCoreOS, "old", "3\n")
	key(sys, fwSource, "text", "4\n")
	if got, err = User(context.Background(), "qemu", Env{Sys: sys}); err != nil || string(got.Data) != "old" || string(got.Source) != "text" {
		t.Fatalf("one key: %+v, %v", got, err)
	}
	key(sys, fwFlatcar, "", "0\n")
	if got, err = User(context.Background(), "qemu", Env{Sys: sys}); err != nil || got.Data == nil || len(got.Data) != 0 {
		t.Fatalf("empty key: %+v, %v", got, err)
	}
	key(sys, fwFlatcar, "short", "9\n")
	if _, err = User(context.Background(), "qemu", Env{Sys: sys}); err == nil || !strings.Contains(err.Error(), "5 of 9") {
		t.Fatalf("short read: %v", err)
	}
}

func TestOEMBeatsPlatform(t *testing.T) {
	sys := fstest.MapFS{}
	key(sys, fwFlatcar, "cloud", "5")
	oem := fstest.MapFS{"base/base.ign": {Data: []byte("base")}, "config.ign": {Data: []byte("user")}}
	env := Env{Sys: sys, OEM: oem}
	got, err := User(context.Background(), "qemu", env)
	if err != nil || string(got.Data) != "user" || got.Name != "/oem/config.ign" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = Base(env); err != nil || string(got.Data) != "base" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestUnknownPlatform(t *testing.T) {
	_, err := User(context.Background(), "moon", Env{})
	if err == nil || !strings.Contains(err.Error(), "known are akamai, aliyun, applehv, aws") {
		t.Fatal(err)
	}
}
