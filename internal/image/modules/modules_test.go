package modules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/image/glob"
)

func infos() []Info {
	return []Info{
		{Path: "kernel/drivers/md/dm-verity.ko", Name: "dm_verity", Depends: []string{"dm-bufio", "dm-mod"}},
		{Path: "kernel/drivers/md/dm-bufio.ko", Name: "dm_bufio", Depends: []string{"dm-mod"}},
		{Path: "kernel/drivers/md/dm-mod.ko", Name: "dm_mod", Aliases: []string{"devname:mapper/control"}},
		{Path: "kernel/drivers/ata/ahci.ko", Name: "ahci", Depends: []string{"libahci", "scsi_mod"}, Softdeps: []string{"pre: absent dm-mod post: sound"}, Aliases: []string{"pci:v1*", "ahci"}},
		{Path: "kernel/drivers/ata/libahci.ko", Name: "libahci"},
		{Path: "kernel/sound/x.ko", Name: "x", Depends: []string{"gone"}},
	}
}

func TestChooseAndList(t *testing.T) {
	drivers, err := glob.CompileList([]string{"kernel/drivers/ata/ahci.ko"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Choose(infos(), []string{"kernel/drivers/scsi/scsi_mod.ko"}, []string{"dm-verity", "scsi_mod"}, drivers)
	if err != nil {
		t.Fatal(err)
	}
	want := `[modules]
ahci: dm_mod libahci
dm_bufio: dm_mod
dm_mod:
dm_verity: dm_mod dm_bufio
libahci:
[always]
dm_verity
[alias]
pci:v1* ahci
`
	if d := cmp.Diff(want, string(s.List())); d != "" {
		t.Error(d)
	}
}

func TestMissingModulesAreNamed(t *testing.T) {
	drivers, _ := glob.CompileList([]string{"kernel/sound/**"})
	_, err := Choose(infos(), nil, []string{"erofs"}, drivers)
	for _, want := range []string{"module erofs, wanted by the recipe's initrd.modules", "module gone, wanted by x"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	got := Unmet(infos(), []string{"scsi_mod.ko"})
	if d := cmp.Diff(map[string]string{"kernel/sound/x.ko": "needs the module gone, which is not in the image"}, got); d != "" {
		t.Error(d)
	}
}
