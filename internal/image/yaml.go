package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"gopkg.in/yaml.v3"

	"wellcar.dev/internal/format/yamlfault"
)

// yamlFile is a parsed document that knows where each value stands.
type yamlFile struct {
	name string
	root yaml.Node
}

// readYAML decodes a file strictly: unknown and repeated keys are errors.
func readYAML(dir fs.FS, name string, into any) (yamlFile, error) {
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return yamlFile{}, fmt.Errorf("reading the recipe: %w", err)
	}
	f := yamlFile{name: name}
	if err := yaml.Unmarshal(data, &f.root); err != nil {
		return f, yamlfault.Locate(name, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return f, yamlfault.Locate(name, err)
	}
	return f, nil
}

func readOptionalYAML(dir fs.FS, name string, into any) (yamlFile, error) {
	if _, err := fs.Stat(dir, name); errors.Is(err, fs.ErrNotExist) {
		return yamlFile{name: name}, nil
	}
	return readYAML(dir, name, into)
}

// errorf places a fault at the value that the keys (strings) and indexes
// (ints) lead to, or at the nearest one above it that exists.
func (f yamlFile) errorf(keys []any, format string, args ...any) error {
	line := f.line(keys)
	err := fmt.Errorf(format, args...)
	if line == 0 {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return fmt.Errorf("%s:%d: %w", f.name, line, err)
}

func (f yamlFile) line(keys []any) int {
	if len(f.root.Content) == 0 {
		return 0
	}
	at := f.root.Content[0]
	line := at.Line
	for _, key := range keys {
		next := child(at, key)
		if next == nil {
			break
		}
		at, line = next, next.Line
	}
	return line
}

func child(n *yaml.Node, key any) *yaml.Node {
	switch key := key.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && key < len(n.Content) {
			return n.Content[key]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}
