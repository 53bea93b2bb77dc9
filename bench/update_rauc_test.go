package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// blocksOf is an image of blocks that hold one character each; "0" is a block of zeros.
func blocksOf(blocks string) io.Reader {
	var all strings.Builder
	for _, b := range blocks {
		if b == '0' {
			b = 0
		}
		all.WriteString(strings.Repeat(string(b), raucBlock))
	}
	return strings.NewReader(all.String())
}

func TestRAUCFetches(t *testing.T) {
	for name, c := range map[string]struct {
		old, next        string
		fetched, indexed int64 // blocks
	}{
		"the same":       {"abc", "abc", 0, 3},
		"moved":          {"abc", "cab", 0, 3},
		"new":            {"abc", "abxcy", 2, 5},
		"zeros":          {"abc", "a00x", 1, 4},
		"the same twice": {"abc", "xaxx", 1, 4},
		"from nothing":   {"", "ab", 2, 2},
		"to nothing":     {"ab", "", 0, 0},
	} {
		got, err := raucFetches(blocksOf(c.old), blocksOf(c.next))
		if want := c.fetched*4096 + c.indexed*32; err != nil || got != want {
			t.Errorf("%s: %d bytes, want %d, %v", name, got, want, err)
		}
	}
	if _, err := raucFetches(blocksOf("a"), strings.NewReader("a piece")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a piece of a block: %v", err)
	}
}
