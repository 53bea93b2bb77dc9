package finish

import (
	"fmt"

	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/layout"
)

// Identity is what an image says about itself.
type Identity struct {
	Version string // MAJOR.MINOR.PATCH
	Board   string // amd64-usr
	Cmdline string // of the kernel, but for the root hash
}

// appID is the product's id in update requests, as release files carry it.
const appID = "{e96281a6-d1af-4bde-9a0a-97b76e56dc57}"

// OSRelease is the content of os-release(5). ID is that of Flatcar because
// extension images match on it.
func (id Identity) OSRelease() []byte {
	return joinLines(
		`NAME="Wellcar Container Linux"`,
		`ID=flatcar`,
		`ID_LIKE=coreos`,
		`VARIANT_ID=wellcar`,
		"VERSION="+id.Version,
		"VERSION_ID="+id.Version,
		"BUILD_ID="+id.Version,
		"SYSEXT_LEVEL=1.0",
		fmt.Sprintf(`PRETTY_NAME="Wellcar Container Linux %s"`, id.Version),
		`ANSI_COLOR="38;5;75"`,
		`HOME_URL="https://wellcar.dev/"`,
		`BUG_REPORT_URL="https://wellcar.dev/issues"`,
		`SUPPORT_URL="https://wellcar.dev/docs"`,
		fmt.Sprintf(`FLATCAR_BOARD="%s"`, id.Board),
		fmt.Sprintf(`CPE_NAME="cpe:2.3:o:wellcar:wellcar_linux:%s:*:*:*:*:*:*:*"`, id.Version),
	)
}

// Release writes the identity files and the links of old names.
func Release(t *fstree.Tree, id Identity) error {
	files := map[string][]byte{
		"usr/lib/os-release": id.OSRelease(),
		layout.ShippedEtc + "/lsb-release": joinLines(
			`DISTRIB_ID="Wellcar Container Linux"`, "DISTRIB_RELEASE="+id.Version, fmt.Sprintf(`DISTRIB_DESCRIPTION="Wellcar Container Linux %s"`, id.Version)),
		"usr/share/flatcar/release": joinLines(
			"FLATCAR_RELEASE_VERSION="+id.Version, "FLATCAR_RELEASE_BOARD="+id.Board, "FLATCAR_RELEASE_APPID="+appID),
	}
	if id.Cmdline != "" {
		files["usr/"+layout.KernelCmdline] = joinLines(id.Cmdline)
	}
	if err := PutFiles(t, files); err != nil {
		return err
	}
	for _, l := range [][2]string{
		{layout.ShippedEtc + "/os-release", "../usr/lib/os-release"},
		{"usr/share/flatcar/os-release", "../../lib/os-release"},
		{layout.ShippedEtc + "/coreos", "flatcar"},
		{"usr/share/coreos", "flatcar"},
		{"usr/lib/coreos", "flatcar"},
		{"usr/share/oem", "/oem"},
	} {
		if err := putLink(t, l[0], l[1]); err != nil {
			return err
		}
	}
	for _, dir := range []string{layout.ShippedEtc + "/flatcar", "usr/lib/flatcar"} { // what the links lead to
		if t.Get(dir) == nil {
			if err := t.Put(fstree.Node{Path: dir, Kind: fstree.Dir, Mode: 0o755, Origin: origin}); err != nil {
				return err
			}
		}
	}
	if t.Get("usr/bin/flatcar-install") == nil {
		return nil
	}
	return putLink(t, "usr/bin/coreos-install", "flatcar-install")
}
