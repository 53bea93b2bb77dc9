package page

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Meta is the front matter of a page.
type Meta struct {
	Rows    []string `yaml:"rows"` // ids of the documentation index that the page covers
	Machine Machine  `yaml:"machine"`
	Needs   []string `yaml:"needs"`   // what must be there, or the page is skipped: kvm, internet, ...
	Timeout Duration `yaml:"timeout"` // of all commands together, 0: the runner's
}

// Machine is what a page runs on. Zero values leave the choice to the runner.
type Machine struct {
	Disks    []Size `yaml:"disks"`  // further, empty disks
	Memory   int    `yaml:"memory"` // MiB
	CPUs     int    `yaml:"cpus"`
	TPM      bool   `yaml:"tpm"`
	NICs     int    `yaml:"nics"`
	Ports    []int  `yaml:"ports"`    // TCP, to reach from the host
	Cloud    string `yaml:"cloud"`    // file, beside the page, that says what the cloud answers
	Firmware string `yaml:"firmware"` // uefi, if empty, or bios
	Segment  bool   `yaml:"segment"`  // one more card, on a network that other machines can be started on
	Share    string `yaml:"share"`    // pages with the same word share one boot
}

// Size is a number of bytes, written with K, M, G or T (powers of 1024).
type Size int64

// ParseSize reads "512M" or "1G"; a plain number is bytes.
func ParseSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "KMGT")
	shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size: write 512M or 10G", s)
	}
	return Size(n << shift), nil
}

// UnmarshalYAML reads a size.
func (s *Size) UnmarshalYAML(n *yaml.Node) (err error) {
	if *s, err = ParseSize(n.Value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}

// Duration is written as in Go: 90s, 5m.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is no duration: write 90s or 5m", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// parseFront reads the YAML between two lines "---" at the top of a page, and
// returns the index of the first line after it.
func parseFront(lines []string) (int, Meta, error) {
	if strings.TrimRight(lines[0], " ") != "---" {
		return 0, Meta{}, nil
	}
	for i := 1; i < len(lines); i++ {
		if strings.TrimRight(lines[i], " ") != "---" {
			continue
		}
		var m Meta
		// The leading empty line makes YAML's line numbers those of the page.
		dec := yaml.NewDecoder(bytes.NewReader([]byte("\n" + strings.Join(lines[1:i], "\n"))))
		dec.KnownFields(true)
		if err := dec.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
			return 0, Meta{}, fmt.Errorf("reading the front matter: %w", err)
		}
		return i + 1, m, m.check()
	}
	return 0, Meta{}, errors.New("reading the front matter: it has no end")
}

func (m Meta) check() error {
	if m.Machine.Memory < 0 || m.Machine.CPUs < 0 || m.Machine.NICs < 0 || m.Machine.NICs > 8 {
		return errors.New("reading the front matter: memory, cpus and nics must not be negative, nics at most 8")
	}
	if m.Machine.Segment && m.Machine.Share != "" {
		return errors.New("reading the front matter: a machine with a segment is not shared")
	}
	for _, port := range m.Machine.Ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("reading the front matter: port %d", port)
		}
	}
	return nil
}

// join is a machine that is enough for both.
func (m Machine) join(o Machine) Machine {
	if len(o.Disks) > len(m.Disks) {
		m.Disks, o.Disks = o.Disks, m.Disks
	}
	m.Disks = append([]Size(nil), m.Disks...)
	for i, size := range o.Disks {
		m.Disks[i] = max(m.Disks[i], size)
	}
	m.Memory, m.CPUs, m.NICs = max(m.Memory, o.Memory), max(m.CPUs, o.CPUs), max(m.NICs, o.NICs)
	m.TPM, m.Segment = m.TPM || o.TPM, m.Segment || o.Segment
	m.Firmware = cmp.Or(m.Firmware, o.Firmware)
	m.Cloud = cmp.Or(m.Cloud, o.Cloud)
	m.Ports = append(append([]int(nil), m.Ports...), o.Ports...)
	return m
}
