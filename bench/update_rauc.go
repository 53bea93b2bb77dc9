package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"wellcar.dev/internal/image/publish"
)

// RAUC's adaptive update by block-hash-index: a bundle has the SHA-256 of each
// block of an image, and RAUC fetches the blocks that are neither in a slot nor
// written already. Blocks of zeros it makes itself
// (https://rauc.readthedocs.io/en/latest/advanced.html#adaptive-updates).
const (
	raucBlock = 4096 // bytes
	raucHash  = sha256.Size
)

// rauc counts what RAUC would fetch of the new image. It runs no program, so
// the row has no cost.
func (p *updatePair) rauc() updateRow {
	row := updateRow{what: "RAUC block-hash-index, counted, without the kernel"}
	fmt.Fprintln(os.Stderr, row.what)
	old, closeOld, err := publish.OpenImage(p.old)
	if err != nil {
		row.skip = err.Error()
		return row
	}
	defer closeOld()
	next, closeNext, err := publish.OpenImage(p.next)
	if err != nil {
		row.skip = err.Error()
		return row
	}
	defer closeNext()
	row.bytes, err = raucFetches(io.NewSectionReader(old.Usr, 0, old.Release.UsrSize), io.NewSectionReader(next.Usr, 0, next.Release.UsrSize))
	if err != nil {
		row.skip = err.Error()
	}
	return row
}

// raucFetches is the index of the new image and each block once that is not in
// the old one and not zero, as bytes before compression.
func raucFetches(old, next io.Reader) (int64, error) {
	have := map[[raucHash]byte]bool{sha256.Sum256(make([]byte, raucBlock)): true}
	err := raucBlocks(old, func(hash [raucHash]byte) { have[hash] = true })
	if err != nil {
		return 0, fmt.Errorf("reading the old image: %w", err)
	}
	fetched := int64(0)
	err = raucBlocks(next, func(hash [raucHash]byte) {
		fetched += raucHash
		if !have[hash] {
			have[hash] = true
			fetched += raucBlock
		}
	})
	if err != nil {
		return 0, fmt.Errorf("reading the new image: %w", err)
	}
	return fetched, nil
}

// raucBlocks calls do for each block. RAUC wants whole ones.
func raucBlocks(r io.Reader, do func(hash [raucHash]byte)) error {
	block := make([]byte, raucBlock)
	for {
		_, err := io.ReadFull(r, block)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		do(sha256.Sum256(block))
	}
}
