// Package derived keeps what is slow to make from a tree (indexes, the
// initrd, a small file system) under the digest of what it was made from and
// of the code that made it, so that changed code never meets old results. An
// entry is a set of named byte strings in one file with a checksum; a
// damaged one is made anew.
package derived

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

const magic = "wellcar derived 1\n"

// Cache is a folder of entries; several builds may use it at once.
type Cache struct {
	Dir  string
	Code []byte // what the makers are: any bytes that change with them
}

// Files are the parts of an entry by name.
type Files map[string][]byte

// Get returns the entry of a purpose and digest, and makes it first if it is
// not there. A purpose is a word that names the maker and its version; a new
// entry of a purpose replaces none of another digest.
func (c Cache) Get(ctx context.Context, purpose string, digest [32]byte, make func(ctx context.Context) (Files, error)) (Files, error) {
	key := sha256.Sum256(append(digest[:], c.Code...))
	name := filepath.Join(c.Dir, fmt.Sprintf("%s-%x", purpose, key[:16]))
	if data, err := os.ReadFile(name); err == nil {
		if files, err := decode(data); err == nil {
			return files, nil
		}
	}
	files, err := make(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.store(name, encode(files)); err != nil {
		return nil, fmt.Errorf("keeping the %s: %w", purpose, err)
	}
	return files, nil
}

func (c Cache) store(name string, data []byte) error {
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func encode(files Files) []byte {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	var body []byte
	for _, n := range names {
		body = binary.AppendUvarint(body, uint64(len(n)))
		body = append(body, n...)
		body = binary.AppendUvarint(body, uint64(len(files[n])))
		body = append(body, files[n]...)
	}
	sum := sha256.Sum256(body)
	return bytes.Join([][]byte{[]byte(magic), sum[:], body}, nil)
}

var errDamaged = errors.New("the entry is damaged")

func decode(data []byte) (Files, error) {
	data, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(data) < sha256.Size {
		return nil, errDamaged
	}
	body := data[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[:sha256.Size]) {
		return nil, errDamaged
	}
	files := Files{}
	for len(body) > 0 {
		var name, content []byte
		if name, body, ok = cut(body); ok {
			content, body, ok = cut(body)
		}
		if !ok {
			return nil, errDamaged
		}
		files[string(name)] = content
	}
	return files, nil
}

// cut takes a length and as many bytes off the front.
func cut(b []byte) (part, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}
