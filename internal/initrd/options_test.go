//go:build linux

package initrd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var hashText = strings.Repeat("ab", 32)

func TestParseOptions(t *testing.T) {
	base := func(change func(*Options)) Options {
		o := Options{Root: "LABEL=ROOT", Platform: "metal", OnFailure: Policy{Wait: failureWait}, Blacklist: map[string]bool{}, ModuleParams: map[string]string{}}
		for i := range o.UsrHash {
			o.UsrHash[i] = 0xab
		}
		change(&o)
		return o
	}
	qemu := Hardware{Vendor: "QEMU"}
	for _, c := range []struct {
		line string
		hw   Hardware
		want Options
	}{
		{"usrhash=" + hashText, Hardware{}, base(func(*Options) {})},
		{"verity.usrhash=" + hashText + " rootflags=rw root=/dev/sda9 rootfstype=tmpfs", Hardware{}, base(func(o *Options) {
			o.RootFlags, o.Root, o.RootType = "rw", "/dev/sda9", "tmpfs"
		})},
		{"usrhash=" + hashText + " flatcar.first_boot=detected flatcar.randomize_guid", qemu, base(func(o *Options) {
			o.FirstBoot, o.RandomizeGUID, o.Platform = Word{"detected", true}, true, "qemu"
		})},
		{"usrhash=" + hashText + " coreos.first_boot coreos.oem.id=ec2", qemu, base(func(o *Options) {
			o.FirstBoot, o.Platform = Word{"", true}, "aws"
		})},
		{"usrhash=" + hashText + " flatcar.oem.id=pxe", qemu, base(func(o *Options) { o.Platform = "metal" })},
		{"usrhash=" + hashText + " flatcar.oem.id=hetzner", Hardware{}, base(func(o *Options) { o.Platform = "hetzner" })},
		{"usrhash=" + hashText, Hardware{FwCfg: true, Vendor: "Else"}, base(func(o *Options) { o.Platform = "qemu" })},
		{"usrhash=" + hashText + " emergency", Hardware{}, base(func(o *Options) { o.OnFailure = Policy{Shell: true} })},
		{"usrhash=" + hashText + " emergency wellcar.emergency=reboot", Hardware{}, base(func(o *Options) { o.OnFailure = Policy{} })},
		{"usrhash=" + hashText + " modprobe.blacklist=a-b,c nvme-core.x=1 nvme_core.y", Hardware{}, base(func(o *Options) {
			o.Blacklist = map[string]bool{"a_b": true, "c": true}
			o.ModuleParams = map[string]string{"nvme_core": "x=1 y", "modprobe": "blacklist=a-b,c"}
		})},
	} {
		got, err := ParseOptions(c.line, c.hw)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
		}
		for _, ours := range []string{"flatcar", "coreos", "wellcar", "verity"} {
			delete(got.ModuleParams, ours) // no modules
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.line, diff)
		}
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	for _, line := range []string{"root=LABEL=ROOT", "usrhash=", "usrhash=abcd", "usrhash=" + strings.Repeat("x", 64)} {
		got, err := ParseOptions(line+" wellcar.emergency=shell", Hardware{})
		if err == nil {
			t.Errorf("%q was accepted", line)
		}
		if !got.OnFailure.Shell {
			t.Errorf("%q: the policy for failures was lost", line)
		}
	}
}

func TestDecideFirstBoot(t *testing.T) {
	for _, c := range []struct {
		word        Word
		flag        bool
		run, unflag bool
	}{
		{Word{}, false, false, false},
		{Word{}, true, true, true},
		{Word{"detected", true}, false, true, true},
		{Word{"1", true}, false, true, false},
		{Word{"1", true}, true, true, false},
		{Word{"0", true}, true, false, false},
		{Word{"off", true}, true, false, false},
		{Word{"no", true}, true, false, false},
		{Word{"", true}, true, false, false},
	} {
		got := DecideFirstBoot(c.word, c.flag)
		if got.Run != c.run || got.Unflag != c.unflag || got.Why == "" {
			t.Errorf("word %v, flag %v: %+v", c.word, c.flag, got)
		}
	}
}
