package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wellcar.dev/internal/archive"
)

// leftOut are packages of the recipe that dpkg does not install beside the
// other time daemon; Wellcar carries all of them and starts one.
var leftOut = []string{"chrony", "ntpsec"}

// peerConfig is mkosi's configuration of the image that is compared.
type peerConfig struct {
	packages []string
	mirror   archive.Mirror
	work     workload
	key      string // authorized key of the user core
}

// peerSettings are those of mkosi.conf that do not depend on anything. Docs
// and the journal's questions of a first boot are left out, as in Wellcar.
const peerSettings = `[Distribution]
Distribution=debian
Release=` + archive.Release + `

[Output]
Format=disk
Output=peer
OutputDirectory=` + workFolder + `/out

[Build]
BuildSources=
CacheOnly=always
PackageCacheDirectory=` + workFolder + `/packages
WorkspaceDirectory=` + workFolder + `/workspace

[Content]
Bootable=yes
Bootloader=systemd-boot
WithDocs=no
Hostname=peer
Locale=C.UTF-8
Timezone=UTC
Keymap=us
RootPassword=
KernelCommandLine=console=tty0 console=ttyS0,115200n8
`

// peerBoot spares mkosi's image what Debian would do at a boot and Wellcar
// does not: auditing to the console, and AppArmor, whose profile docker could
// not load without a further package.
const peerBoot = `[Content]
KernelCommandLine=audit=0 apparmor=0
`

// files are mkosi's configuration by path.
func (c peerConfig) files() map[string]string {
	f := map[string]string{
		"mkosi.conf":             peerSettings + "Packages=\n" + c.packageLines(),
		"mkosi.conf.d/boot.conf": peerBoot,
		// Without room left, docker could not store an image.
		"mkosi.repart/00-esp.conf":  "[Partition]\nType=esp\nFormat=vfat\nCopyFiles=/boot:/\nCopyFiles=/efi:/\nSizeMinBytes=512M\nSizeMaxBytes=512M\n",
		"mkosi.repart/10-root.conf": "[Partition]\nType=root\nFormat=ext4\nCopyFiles=/\nSizeMinBytes=6G\nSizeMaxBytes=6G\n",
		// The same services as in Wellcar, not all that Debian would start.
		"mkosi.extra/usr/lib/systemd/system-preset/00-bench.preset": c.presets(),
		"mkosi.extra/etc/systemd/network/50-dhcp.network":           "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n",
		"mkosi.extra/usr/lib/sysusers.d/core.conf":                  "u core 500 \"User\" /home/core /bin/bash\n",
		"mkosi.extra/home/core/.ssh/authorized_keys":                c.key,
		"mkosi.extra/etc/systemd/system/bench-ssh.service":          reachedUnit,
		"mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources":        c.sources(),
	}
	for _, file := range c.work.Files {
		f["mkosi.extra"+file.Path] = file.Contents.Inline
	}
	for _, u := range c.work.Units {
		f["mkosi.extra/etc/systemd/system/"+u.Name] = u.Contents
	}
	return f
}

// reachedUnit says what the image of Wellcar says by itself.
const reachedUnit = `[Unit]
Description=Say on the console that SSH can be reached
After=ssh.service systemd-networkd.service

[Service]
Type=oneshot
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=300
ExecStart=/bin/sh -c 'echo "wellcar: reached ssh" > /dev/console'

[Install]
WantedBy=multi-user.target
`

func (c peerConfig) packageLines() string {
	var b strings.Builder
	for _, p := range c.packages {
		if !slices.Contains(leftOut, p) {
			fmt.Fprintf(&b, "    %s\n", p)
		}
	}
	return b.String()
}

func (c peerConfig) presets() string {
	on := []string{"ssh.service", "docker.service", "containerd.service", "dbus-broker.service", "getty@.service", "serial-getty@.service",
		"systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "bench-ssh.service"}
	for _, u := range c.work.Units {
		if u.Enabled {
			on = append(on, u.Name)
		}
	}
	var b strings.Builder
	for _, name := range on {
		b.WriteString("enable " + name + "\n")
	}
	return b.String() + "disable *\n"
}

// sources name the archive's suites that Wellcar uses, without the debug
// suites and source indexes of mkosi's own list.
func (c peerConfig) sources() string {
	const form = "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	suites := map[string][]string{}
	for _, s := range archive.Suites(archive.Release) {
		suites[s.Archive] = append(suites[s.Archive], s.Name)
	}
	return fmt.Sprintf(form, c.mirror.Debian, strings.Join(suites[archive.Main], " ")) + "\n" +
		fmt.Sprintf(form, c.mirror.Security, strings.Join(suites[archive.Security], " "))
}

// write puts the files below dir, whose old configuration it removes.
func (c peerConfig) write(dir string) error {
	for _, old := range []string{"mkosi.extra", "mkosi.sandbox", "mkosi.repart", "workspace"} {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			return err
		}
	}
	for name, text := range c.files() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing mkosi's configuration: %w", err)
		}
	}
	for _, sub := range []string{"out", "packages", "incremental", "workspace"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	return nil
}
