package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"wellcar.dev/internal/format/pe"
)

// Coding says how a part of the kernel image is packed.
type Coding byte

// The codings. The number of one never changes its meaning: another encoder,
// or another version that writes other bytes, gets a new number.
const (
	Plain   Coding = 0
	GoZstd1 Coding = 1 // PackInitrd with klauspost/compress 1.18.4, level "better"
)

func (c Coding) known() bool { return c <= GoZstd1 }

// ErrUnknownCoding says that this program cannot pack a part of the kernel
// image again; the full payload does not need that.
var ErrUnknownCoding = errors.New("not known to this program")

// Part is a range of the kernel image.
type Part struct {
	Coding Coding
	Size   int64 // unpacked, bytes
	Packed int64 // in the file
}

const (
	maxParts  = 64
	maxInitrd = 96 << 20 // unpacked, bytes
)

// PackInitrd returns a writer that compresses what it gets, for builds as
// well as for updates, which must make the same bytes. Close ends the frame
// and not w. The best level would save a thirtieth, and take 30 MB more of a
// machine's memory.
func PackInitrd(w io.Writer) (io.WriteCloser, error) {
	enc, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(maxWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return enc, nil
}

// UKI is a kernel image taken apart: its parts in a row are the file, and
// their unpacked contents in a row are what deltas work on.
type UKI struct {
	Parts    []Part
	file     io.ReaderAt
	unpacked map[int]pages // contents of packed parts by number
}

// Unpack takes a kernel image of size bytes apart. It keeps file. The result
// depends on nothing but the bytes; a part that cannot be unpacked is plain.
func Unpack(file io.ReaderAt, size int64) (*UKI, error) {
	if size <= 0 || size > maxImage {
		return nil, fmt.Errorf("unpacking a kernel image: a size of %d bytes is not possible", size)
	}
	u := &UKI{file: file, unpacked: map[int]pages{}}
	at := int64(0)
	places, _ := pe.Places(file) // none in what is no PE file
	for _, p := range places {
		if p.Offset < at || p.Offset+p.Size > size {
			continue
		}
		switch p.Name {
		case ".initrd":
			at = u.initrd(p, at)
		case ".linux":
			at = u.kernel(p, at)
		}
	}
	u.plain(size - at)
	return u, nil
}

// initrd adds what is before the initrd, and the initrd if it unpacks. Like
// kernel it takes and returns the end of the parts in the file.
func (u *UKI) initrd(p pe.Place, at int64) int64 {
	content, ok := unpackInitrd(io.NewSectionReader(u.file, p.Offset, p.Size))
	if !ok {
		return at
	}
	u.plain(p.Offset - at)
	u.unpacked[len(u.Parts)] = content
	u.Parts = append(u.Parts, Part{GoZstd1, content.size, p.Size})
	return p.Offset + p.Size
}

// Fields of the header of an x86 kernel, "The Linux/x86 Boot Protocol".
const (
	setupSectors  = 0x1f1
	headerMagic   = 0x202 // "HdrS"
	payloadOffset = 0x248 // from the end of the setup sectors
	payloadSize   = 0x24c
	setupEnd      = 0x250
)

// kernel makes the compressed payload of the kernel a part of its own.
func (u *UKI) kernel(p pe.Place, at int64) int64 {
	head := make([]byte, setupEnd)
	if p.Size < setupEnd || readAt(u.file, head, p.Offset) != nil || string(head[headerMagic:][:4]) != "HdrS" {
		return at
	}
	le := binary.LittleEndian
	start := (int64(head[setupSectors])+1)*512 + int64(le.Uint32(head[payloadOffset:]))
	size := int64(le.Uint32(head[payloadSize:]))
	if size == 0 || start > p.Size || size > p.Size-start {
		return at
	}
	u.plain(p.Offset + start - at)
	u.plain(size)
	return p.Offset + start + size
}

func (u *UKI) plain(size int64) {
	if size > 0 {
		u.Parts = append(u.Parts, Part{Plain, size, size})
	}
}

func unpackInitrd(r io.Reader) (pages, bool) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return pages{}, false
	}
	defer d.Close()
	content, err := readPages(io.LimitReader(d, maxInitrd+1))
	return content, err == nil && content.size <= maxInitrd && content.size > 0
}

// Size is the size of all unpacked parts, bytes.
func (u *UKI) Size() (n int64) {
	for _, p := range u.Parts {
		n += p.Size
	}
	return n
}

// ReadAt reads from the unpacked parts.
func (u *UKI) ReadAt(p []byte, off int64) (n int, err error) {
	fileAt, at := int64(0), int64(0)
	for i, part := range u.Parts {
		from := off + int64(n) - at
		if from >= 0 && from < part.Size && n < len(p) {
			want := p[n:][:min(int64(len(p)-n), part.Size-from)]
			if content, packed := u.unpacked[i]; packed {
				content.copy(want, from)
			} else if err := readAt(u.file, want, fileAt+from); err != nil {
				return n, err
			}
			n += len(want)
		}
		at, fileAt = at+part.Size, fileAt+part.Packed
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Prove packs each part again and makes it plain if other bytes come out, so
// that what remains packed can be made by an update.
func (u *UKI) Prove() error {
	at := int64(0)
	for i, part := range u.Parts {
		if content, packed := u.unpacked[i]; packed {
			same, err := u.packsBack(content, at, part.Packed)
			if err != nil {
				return err
			}
			if !same {
				u.Parts[i] = Part{Plain, part.Packed, part.Packed}
				delete(u.unpacked, i)
			}
		}
		at += part.Packed
	}
	return nil
}

func (u *UKI) packsBack(content pages, at, size int64) (bool, error) {
	var b bytes.Buffer
	w, err := PackInitrd(&b)
	if err != nil {
		return false, err
	}
	for _, page := range content.list {
		if _, err := w.Write(page); err != nil {
			return false, err
		}
	}
	if err := w.Close(); err != nil {
		return false, err
	}
	want := make([]byte, size)
	err = readAt(u.file, want, at)
	return bytes.Equal(want, b.Bytes()), err
}

// packer takes the unpacked parts in a row and writes the kernel image.
type packer struct {
	w     io.Writer // the file, and its digest
	parts []Part
	left  int64 // of the first part, bytes
	enc   io.WriteCloser
	count countWriter
}

func newPacker(w io.Writer, parts []Part) *packer {
	p := &packer{parts: parts}
	p.count.w, p.count.hash = w, sha256.New()
	p.w = &p.count
	return p
}

func (p *packer) Write(data []byte) (n int, err error) {
	for len(data) > 0 {
		if p.left == 0 {
			if err := p.begin(); err != nil {
				return n, err
			}
		}
		part := data[:min(int64(len(data)), p.left)]
		w := p.w
		if p.enc != nil {
			w = p.enc
		}
		if _, err := w.Write(part); err != nil {
			return n, err
		}
		p.left -= int64(len(part))
		n, data = n+len(part), data[len(part):]
		if p.left == 0 {
			if err := p.end(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// begin opens the next part that has bytes.
func (p *packer) begin() (err error) {
	if len(p.parts) == 0 || p.parts[0].Size == 0 {
		return ErrDamaged
	}
	p.left = p.parts[0].Size
	if p.parts[0].Coding == GoZstd1 {
		p.enc, err = PackInitrd(p.w)
	}
	return err
}

func (p *packer) end() error {
	if p.enc != nil {
		if err := p.enc.Close(); err != nil {
			return err
		}
		p.enc = nil
	}
	p.parts = p.parts[1:]
	return nil
}
