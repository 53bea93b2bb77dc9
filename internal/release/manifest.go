package release

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Schema is the version of the manifest that this code reads and writes.
const Schema = 1

// Manifest describes one release. Its only encoding is that of Marshal.
type Manifest struct {
	Schema   int       `json:"schema"`
	Product  string    `json:"product"`
	Board    string    `json:"board"`   // amd64-usr
	Channel  string    `json:"channel"` // stable, beta, alpha, lts, or another name
	Version  string    `json:"version"` // MAJOR.MINOR.PATCH
	Minimum  string    `json:"minimum"` // no machine goes below this version any more
	Expires  string    `json:"expires"` // RFC 3339 in UTC, whole seconds
	RootHash string    `json:"root_hash"`
	Salt     string    `json:"salt"`      // of the verity tree
	UsrSize  int64     `json:"usr_size"`  // of the file system, without the tree
	TreeSize int64     `json:"tree_size"` // of the verity superblock and tree, which is never sent
	UsrHash  string    `json:"usr_sha256"`
	UKISize  int64     `json:"uki_size"`
	UKIHash  string    `json:"uki_sha256"`
	Payloads []Payload `json:"payloads"`
	Files    []File    `json:"files"` // all others of the folder, by name
}

// File is a file of the release folder.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Kind tells what a payload is for.
type Kind string

// The kinds of payloads.
const (
	Full  Kind = "full"  // makes the release of nothing
	Delta Kind = "delta" // makes it of one other release
	Index Kind = "index" // says which blocks are where in the full payload
)

// Payload is a file that a machine updates itself from.
type Payload struct {
	Kind Kind `json:"kind"`
	File
	HeadSize     int64  `json:"head_size"` // of the payload's head
	HeadHash     string `json:"head_sha256"`
	FromVersion  string `json:"from_version,omitempty"` // of a delta
	FromRootHash string `json:"from_root_hash,omitempty"`
}

// Product is the only product there is.
const Product = "wellcar"

// Marshal writes a manifest in its only encoding, after checking it.
func Marshal(m Manifest) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("writing a release manifest: %w", err)
	}
	data, err := encode(m)
	if err == nil && len(data) > MaxManifest {
		err = fmt.Errorf("it has %d bytes, more than %d", len(data), MaxManifest)
	}
	if err != nil {
		return nil, fmt.Errorf("writing a release manifest: %w", err)
	}
	return data, nil
}

func encode(m Manifest) ([]byte, error) {
	data, err := json.MarshalIndent(m, "", " ")
	return append(data, '\n'), err
}

var errEncoding = errors.New("it is not in the one encoding that is valid")

// parse reads a manifest without asking who signed it. Unknown keys, other
// spellings and white space are refused, because they do not encode back.
func parse(data []byte) (Manifest, error) {
	var version struct {
		Schema int `json:"schema"`
	}
	if len(data) > MaxManifest {
		return Manifest{}, fmt.Errorf("it has %d bytes, more than %d", len(data), MaxManifest)
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Manifest{}, err
	}
	if version.Schema != Schema {
		return Manifest{}, fmt.Errorf("schema %d is not supported, only %d", version.Schema, Schema)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, err
	}
	again, err := encode(m)
	if err != nil || !bytes.Equal(again, data) {
		return Manifest{}, errEncoding
	}
	return m, m.check()
}

var (
	versionForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$`)
	wordForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}$`)
)

// ValidVersion tells whether a text is MAJOR.MINOR.PATCH: three numbers of at
// most nine digits, without leading zeros.
func ValidVersion(v string) bool { return versionForm.MatchString(v) }

// Sizes that no release exceeds, bytes.
const (
	maxSlot = 2 << 30
	maxUKI  = 512 << 20
	maxFile = 64 << 30
	block   = 4096
)

// check finds all that is wrong with the values, at once.
func (m Manifest) check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(m.Schema != Schema, "schema %d is not supported, only %d", m.Schema, Schema)
	fault(m.Product != Product, "the product is %q, not %q", m.Product, Product)
	fault(!wordForm.MatchString(m.Board), "board %q is not a plain word", m.Board)
	fault(!wordForm.MatchString(m.Channel), "channel %q is not a plain word", m.Channel)
	fault(!ValidVersion(m.Version), "version %q is not MAJOR.MINOR.PATCH", m.Version)
	fault(!ValidVersion(m.Minimum), "minimum %q is not MAJOR.MINOR.PATCH", m.Minimum)
	if len(faults) == 0 {
		fault(CompareVersions(m.Version, m.Minimum) < 0, "version %s is below its own minimum %s", m.Version, m.Minimum)
	}
	_, err := m.ExpiryTime()
	fault(err != nil, "expires: %w", err)
	for _, d := range [][2]string{{"root_hash", m.RootHash}, {"salt", m.Salt}, {"usr_sha256", m.UsrHash}, {"uki_sha256", m.UKIHash}} {
		fault(!isDigest(d[1]), "%s %q is not 64 hexadecimal digits", d[0], d[1])
	}
	fault(m.UsrSize <= 0 || m.UsrSize%block != 0 || m.TreeSize <= 0 || m.TreeSize%block != 0 || m.UsrSize > maxSlot || m.TreeSize > maxSlot-m.UsrSize,
		"/usr of %d and %d bytes is not whole blocks within %d", m.UsrSize, m.TreeSize, maxSlot)
	fault(m.UKISize <= 0 || m.UKISize > maxUKI, "a UKI of %d bytes is not possible", m.UKISize)
	return errors.Join(append(faults, m.checkNames()...)...)
}

// checkNames checks the lists of files. Names count as equal if they differ
// in case only, because the folder may lie on such a file system.
func (m Manifest) checkNames() (faults []error) {
	seen := map[string]bool{ManifestFile: true, SignatureFile: true}
	add := func(f File) {
		key := strings.ToLower(f.Name)
		switch {
		case !nameForm.MatchString(f.Name):
			faults = append(faults, fmt.Errorf("%q is not a plain file name", f.Name))
		case seen[key]:
			faults = append(faults, fmt.Errorf("%s is there twice", f.Name))
		case f.Size < 0 || f.Size > maxFile || !isDigest(f.SHA256):
			faults = append(faults, fmt.Errorf("%s: size %d or digest %q is not possible", f.Name, f.Size, f.SHA256))
		}
		seen[key] = true
	}
	for _, p := range m.Payloads {
		add(p.File)
		if err := p.check(); err != nil {
			faults = append(faults, fmt.Errorf("payload %s: %w", p.Name, err))
		}
	}
	for _, f := range m.Files {
		add(f)
	}
	return faults
}

func (p Payload) check() error {
	if p.HeadSize <= 0 || p.HeadSize > p.Size || !isDigest(p.HeadHash) {
		return fmt.Errorf("a head of %d bytes with digest %q is not possible", p.HeadSize, p.HeadHash)
	}
	switch p.Kind {
	case Full, Index:
		if p.FromVersion != "" || p.FromRootHash != "" {
			return fmt.Errorf("kind %s has no release that it starts from", p.Kind)
		}
	case Delta:
		if !ValidVersion(p.FromVersion) || !isDigest(p.FromRootHash) {
			return fmt.Errorf("a delta names the release that it starts from, not %q with root hash %q", p.FromVersion, p.FromRootHash)
		}
	default:
		return fmt.Errorf("kind %q is not one of %s, %s, %s", p.Kind, Full, Delta, Index)
	}
	return nil
}

func isDigest(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 32 && strings.ToLower(s) == s
}

// ExpiryTime is the instant from which on the manifest is not valid.
func (m Manifest) ExpiryTime() (time.Time, error) { return parseTime(m.Expires) }

const timeForm = "2006-01-02T15:04:05Z"

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(timeForm, s)
	if err != nil {
		return t, fmt.Errorf("%q is not a time as %s", s, timeForm)
	}
	return t, nil
}

// FormatTime writes a time as manifests have it.
func FormatTime(t time.Time) string { return t.UTC().Format(timeForm) }

// Find returns the payload of a kind; of deltas, the one from a root hash.
func (m Manifest) Find(k Kind, fromRootHash string) (Payload, bool) {
	for _, p := range m.Payloads {
		if p.Kind == k && (k != Delta || p.FromRootHash == fromRootHash) {
			return p, true
		}
	}
	return Payload{}, false
}

// All lists every file that the manifest vouches for.
func (m Manifest) All() []File {
	var out []File
	for _, p := range m.Payloads {
		out = append(out, p.File)
	}
	return append(out, m.Files...)
}
