package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/qemu"
	"wellcar.dev/internal/qemu/cloud"
)

// playedCloud is what a machine's cloud needs while it runs.
type playedCloud struct {
	server *cloud.Server
	drive  string // file; "": none
}

// playCloud makes a machine one of the cloud that a file describes: its config
// comes from there instead of the firmware.
func (h *host) playCloud(file string, m *qemu.Machine, key string) (*playedCloud, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, withCode(exitUsage, fmt.Errorf("reading the cloud: %w", err))
	}
	table, err := cloud.Parse(file, text)
	if err != nil {
		return nil, withCode(exitUsage, err)
	}
	table = table.Fill(m.FwCfg[configName], key)
	m.KernelArgs = append(platformWords(m.Image, table.Platform), m.KernelArgs...)
	if table.Platform != "" {
		m.FwCfg = nil
	}
	p := &playedCloud{}
	if table.Drive != nil {
		if err := p.attach(*table.Drive, m); err != nil {
			return nil, err
		}
	}
	if p.server, err = cloud.Serve(table); err != nil {
		p.close()
		return nil, err
	}
	m.Net = cloud.Network
	for _, address := range cloud.Addresses {
		m.Services = append(m.Services, qemu.Service{Guest: address, Command: []string{h.self, "pipe", p.server.Addr}})
	}
	return p, nil
}

// platformWords are the words for the kernel that make the machine of an image
// one of a platform; "" is QEMU's. There are none where the image says the same.
func platformWords(image, platform string) []string {
	own, platform := cmp.Or(imagePlatform(image), "qemu"), cmp.Or(platform, "qemu")
	if layout.PlatformID(own) == layout.PlatformID(platform) {
		return nil
	}
	return []string{"flatcar.oem.id=" + platform}
}

// attach gives a machine the config drive.
func (p *playedCloud) attach(d cloud.Drive, m *qemu.Machine) error {
	image, err := d.Image()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp("", "wellcar-drive-")
	if err != nil {
		return fmt.Errorf("making the config drive: %w", err)
	}
	p.drive = f.Name()
	_, err = f.Write(image)
	if err = errors.Join(err, f.Close()); err != nil {
		p.close()
		return fmt.Errorf("making the config drive: %w", err)
	}
	m.Extra = append(m.Extra, "-drive", "if=none,id=config,format=raw,readonly=on,file="+p.drive,
		"-device", "virtio-blk-pci,drive=config,serial=config")
	return nil
}

func (p *playedCloud) close() {
	if p == nil {
		return
	}
	if p.server != nil {
		p.server.Close()
	}
	if p.drive != "" {
		os.Remove(p.drive)
	}
}
