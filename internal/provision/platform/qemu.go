package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Names of the firmware configuration of QEMU, in the order they are tried,
// and that of the text the config was made of.
const (
	fwFlatcar = "opt/org.flatcar-linux/config"
	fwCoreOS  = "opt/com.coreos/config"
	fwSource  = "opt/wellcar/source"
)

// qemu reads the firmware configuration device, and where that has no config
// a virtio disk with the serial "ignition".
type qemu struct{}

const diskSerial = "ignition"

// Fetch implements Source.
func (qemu) Fetch(_ context.Context, env Env) (Found, error) {
	if err := env.load("qemu_fw_cfg"); err != nil {
		return Found{}, err
	}
	for _, key := range []string{fwFlatcar, fwCoreOS} {
		data, err := readKey(env.Sys, key)
		if err != nil {
			return Found{}, err
		}
		if data == nil {
			continue
		}
		source, err := readKey(env.Sys, fwSource)
		return Found{Name: "fw_cfg " + key, Data: data, Source: source}, err
	}
	return env.ignitionDisk()
}

// ignitionDisk reads the disk, whose end is filled up with NULs.
func (env Env) ignitionDisk() (Found, error) {
	if env.OpenDisk == nil {
		return Found{Name: "fw_cfg"}, nil
	}
	disk, err := env.OpenDisk(diskSerial)
	if errors.Is(err, fs.ErrNotExist) {
		return Found{Name: "fw_cfg"}, nil
	}
	if err != nil {
		return Found{}, fmt.Errorf("opening the disk with the serial %s: %w", diskSerial, err)
	}
	defer disk.Close()
	data, err := io.ReadAll(io.LimitReader(disk, configMax+1))
	if err == nil && len(data) > configMax {
		err = fmt.Errorf("it is larger than %d MiB", configMax>>20)
	}
	if err != nil {
		return Found{}, fmt.Errorf("reading the disk with the serial %s: %w", diskSerial, err)
	}
	return Found{Name: "disk " + diskSerial, Data: bytes.TrimRight(data, "\x00")}, nil
}

// readKey reads a key with one call: the driver starts from the beginning at
// each. Nil means that there is no such key.
func readKey(sys fs.FS, key string) ([]byte, error) {
	dir := path.Join("firmware/qemu_fw_cfg/by_name", key)
	text, err := readIf(sys, path.Join(dir, "size"))
	if err != nil || text == nil {
		return nil, err
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("reading the size of %s: %w", key, err)
	}
	f, err := sys.Open(path.Join(dir, "raw"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, size)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s (%d of %d bytes): %w", key, n, size, err)
	}
	return data, nil
}
