// Package sshkeys keeps the SSH keys of a user in named sets, so that several
// services can add theirs: each set is a file of ~/.ssh/authorized_keys.d, and
// all of them together make ~/.ssh/authorized_keys. A set that is disabled is
// an empty file; it cannot be added again unless forced.
//
// The contract is that of the tool update-ssh-keys
// (https://github.com/flatcar/update-ssh-keys), with one difference: a user's
// own authorized_keys is never dropped, it becomes the set
// old_authorized_keys.
//
//	set, err := sshkeys.Open(home, "")
//	defer set.Close()
//	err = set.Add("cloud", sshkeys.Parse(text), sshkeys.Replace)
//	err = set.Write()
package sshkeys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/sys/durable"
	"wellcar.dev/internal/sys/filelock"
)

const (
	lockName = ".authorized_keys.d.lock"
	dirName  = "authorized_keys.d"
	fileName = "authorized_keys"
	oldName  = "old_authorized_keys"
)

// Key is a line of a file of keys.
type Key struct {
	Line        string
	Fingerprint string // SHA256:..., with the comment; "" if the line is no key
}

// Set is all keys of a user, locked.
type Set struct {
	dir  string // ~/.ssh
	lock *os.File
	sets map[string][]Key // disabled ones are empty
}

// Open locks the keys of a home directory, waiting for others, and reads them.
// dir is the directory for SSH; "" is .ssh.
func Open(home, dir string) (*Set, error) {
	if dir == "" {
		dir = filepath.Join(home, ".ssh")
	}
	lock, err := os.OpenFile(filepath.Join(home, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the keys: %w", err)
	}
	s := &Set{dir: dir, lock: lock, sets: map[string][]Key{}}
	if err := filelock.Lock(lock); err != nil {
		lock.Close()
		return nil, err
	}
	if err := s.read(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

// Close lets others have the keys.
func (s *Set) Close() error { return s.lock.Close() }

// File is where all keys are together.
func (s *Set) File() string { return filepath.Join(s.dir, fileName) }

func (s *Set) read() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, dirName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the keys: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // a file being written
		}
		name := filepath.Join(s.dir, dirName, e.Name())
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading the keys: %w", err)
		}
		s.sets[e.Name()] = Parse(data)
	}
	return s.keepOwn()
}

// keepOwn makes a set of a file that the user wrote.
func (s *Set) keepOwn() error {
	data, err := os.ReadFile(s.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the user's own keys: %w", err)
	}
	_, have := s.sets[oldName]
	if keys := Parse(data); !have && len(keys) > 0 && !bytes.HasPrefix(data, []byte(layout.MergedKeys)) {
		s.sets[oldName] = keys
	}
	return nil
}

// What Add does with a set that is there.
type Mode int

// The modes.
const (
	Replace Mode = iota
	Keep         // ErrExists
	Force        // also one that is disabled
)

// Why a set was not added.
var (
	ErrDisabled = errors.New("it is disabled")
	ErrExists   = errors.New("it exists already")
)

// Add sets the keys of a name. No keys at all change nothing.
func (s *Set) Add(name string, keys []Key, mode Mode) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil
	}
	if old, ok := s.sets[name]; ok {
		switch {
		case len(old) == 0 && mode != Force:
			return ErrDisabled
		case mode == Keep:
			return ErrExists
		}
	}
	s.sets[name] = keys
	return nil
}

func checkName(name string) error {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q cannot name a set of keys: it must be a file name that does not begin with a dot", name)
	}
	return nil
}

// Delete forgets a set and returns its keys.
func (s *Set) Delete(name string) []Key {
	keys := s.sets[name]
	delete(s.sets, name)
	return keys
}

// Disable empties a set for good and returns its keys.
func (s *Set) Disable(name string) ([]Key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	keys := s.sets[name]
	s.sets[name] = nil
	return keys, nil
}

// Names are those of all sets, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.sets)) }

// Keys are those of a set.
func (s *Set) Keys(name string) []Key { return s.sets[name] }

// Write writes each set and then all of them together. No file is ever half
// written, and without any set the user's file stays as it is.
func (s *Set) Write() error {
	dir := filepath.Join(s.dir, dirName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of keys: %w", err)
	}
	all := []byte(layout.MergedKeys)
	for _, name := range s.Names() {
		var text []byte
		for _, k := range s.sets[name] {
			text = append(text, k.Line+"\n"...)
			if k.Fingerprint != "" {
				all = append(all, k.Line+"\n"...)
			}
		}
		if err := replace(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	if err := s.removeOthers(dir); err != nil {
		return err
	}
	if len(s.sets) == 0 {
		return fmt.Errorf("there are no keys in %s; %s stays as it is", dir, s.File())
	}
	return replace(s.File(), all)
}

// replace leaves a file alone that has the text already.
func replace(name string, text []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return durable.WriteFile(name, text, 0o600)
}

func (s *Set) removeOthers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("tidying the directory of keys: %w", err)
	}
	for _, e := range entries {
		if _, ok := s.sets[e.Name()]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("tidying the directory of keys: %w", err)
		}
	}
	return nil
}

// Parse reads lines of keys, without empty lines and comments.
func Parse(data []byte) []Key {
	var keys []Key
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, Key{line, fingerprint(line)})
		}
	}
	return keys
}

// fingerprint finds the key in a line, which may begin with options: a type,
// then a blob in base64 that begins with the same type (RFC 4253, 6.6).
func fingerprint(line string) string {
	words := strings.Fields(line)
	for i := 0; i+1 < len(words); i++ {
		blob, err := base64.StdEncoding.DecodeString(words[i+1])
		if err != nil || len(blob) < 4 {
			continue
		}
		n := binary.BigEndian.Uint32(blob)
		if uint64(n) > uint64(len(blob)-4) || string(blob[4:4+n]) != words[i] {
			continue
		}
		sum := sha256.Sum256(blob)
		text := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
		return strings.TrimSpace(text + " " + strings.Join(words[i+2:], " "))
	}
	return ""
}
