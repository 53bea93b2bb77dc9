// Package xz decompresses .xz files (xz file format 1.2.1) as Debian packages
// and kernel modules use them. It is written for speed: most of the time of a
// build with cold caches is spent here.
//
// Limits: the only filter is LZMA2; the checks are none, CRC32, CRC64 and
// SHA-256. Several streams after one another, with padding, are one file.
package xz

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
)

var errCorrupt = errors.New("the xz data is damaged")

const (
	headerMagic = "\xfd7zXZ\x00"
	footerMagic = "YZ"
	headerSize  = 12
	filterLZMA2 = 0x21
	maxBlocks   = 1 << 20 // of one stream
)

// crc64Table is made once and never changed.
var crc64Table = crc64.MakeTable(crc64.ECMA)

// Reader decompresses. It reads ahead of what it needs.
type Reader struct {
	in      *counter
	maxDict uint32
	check   byte      // kind, of the stream
	sum     hash.Hash // nil for none
	blocks  []blockSize
	block   blockHeader
	start   uint64 // where the block began, in compressed bytes
	size    uint64 // decompressed bytes of the block so far
	d       decoder
	err     error
}

type blockSize struct{ unpadded, size uint64 }

type blockHeader struct {
	length             uint64 // of the header
	packed, size       uint64 // as declared
	hasPacked, hasSize bool
}

// counter counts the bytes that were taken.
type counter struct {
	*bufio.Reader
	n uint64
}

func (c *counter) full(b []byte) error {
	n, err := io.ReadFull(c.Reader, b)
	c.n += uint64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// NewReader starts to read r. Data that needs a dictionary of more than
// maxDict bytes is an error.
func NewReader(r io.Reader, maxDict uint32) (*Reader, error) {
	z := &Reader{in: &counter{Reader: bufio.NewReaderSize(nil, 32<<10)}, maxDict: maxDict}
	return z, z.Reset(r)
}

// Reset starts to read another file with the memory of this reader.
func (z *Reader) Reset(r io.Reader) error {
	z.in.Reset(r)
	z.d.finished = true
	z.d.empty()
	z.err = z.streamHeader()
	if z.err == nil {
		z.err = z.nextBlock()
	}
	if z.err == io.EOF {
		return nil
	}
	return z.err
}

// Read reads decompressed data.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := z.d.take(p); n > 0 {
			if z.sum != nil {
				z.sum.Write(p[:n])
			}
			z.size += uint64(n)
			return n, nil
		}
		if z.err != nil {
			return 0, z.err
		}
		if z.d.finished {
			if z.err = z.endBlock(); z.err == nil {
				z.err = z.nextBlock()
			}
			continue
		}
		if z.err = z.d.fill(z.in); z.err != nil && !errors.Is(z.err, io.ErrUnexpectedEOF) {
			z.err = fmt.Errorf("decompressing xz data: %w", z.err)
		}
	}
}

func (z *Reader) streamHeader() error {
	var h [headerSize]byte
	if err := z.in.full(h[:]); err != nil {
		return fmt.Errorf("reading the header of xz data: %w", err)
	}
	if string(h[:6]) != headerMagic || h[6] != 0 || h[7] > 15 {
		return errors.New("it is not xz data")
	}
	if crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return errCorrupt
	}
	z.check, z.blocks = h[7], z.blocks[:0]
	switch z.check {
	case 0:
		z.sum = nil
	case 1:
		z.sum = crc32.NewIEEE()
	case 4:
		z.sum = crc64.New(crc64Table)
	case 10:
		z.sum = sha256.New()
	default:
		return fmt.Errorf("xz check %d is not supported", z.check)
	}
	return nil
}

// nextBlock reads a block header, or the index and what follows; at the end of
// the file the error is io.EOF.
func (z *Reader) nextBlock() error {
	for {
		z.start = z.in.n
		size, err := z.in.ReadByte()
		if err != nil {
			return err
		}
		if size != 0 {
			return z.blockHeader(size)
		}
		if err := z.index(); err != nil {
			return err
		}
		if err := z.skipPadding(); err != nil {
			return err // io.EOF at the end of the file
		}
		if err := z.streamHeader(); err != nil {
			return err
		}
	}
}

// skipPadding passes over the zeros between streams, in groups of four.
func (z *Reader) skipPadding() error {
	for {
		next, err := z.in.Peek(4)
		if len(next) == 0 && err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return errCorrupt
		}
		if !bytes.Equal(next, make([]byte, 4)) {
			return nil
		}
		if err := z.in.full(make([]byte, 4)); err != nil {
			return err
		}
	}
}

func (z *Reader) blockHeader(size byte) error {
	raw := make([]byte, (int(size)+1)*4)
	raw[0] = size
	if err := z.in.full(raw[1:]); err != nil {
		return err
	}
	body := raw[:len(raw)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(raw[len(body):]) {
		return errCorrupt
	}
	v := numbers{left: body[2:]}
	flags := body[1]
	z.block = blockHeader{length: uint64(len(raw)), hasPacked: flags&0x40 != 0, hasSize: flags&0x80 != 0}
	if z.block.hasPacked {
		z.block.packed = v.next()
	}
	if z.block.hasSize {
		z.block.size = v.next()
	}
	filter, properties, dict := v.next(), v.next(), v.next()
	if v.bad || flags&0x3f != 0 || filter != filterLZMA2 || properties != 1 || dict > 40 {
		return errors.New("the xz data needs a filter other than LZMA2")
	}
	for _, b := range v.left {
		if b != 0 {
			return errCorrupt
		}
	}
	dictSize := (2 | dict&1) << (dict/2 + 11)
	if dictSize > uint64(z.maxDict) {
		return fmt.Errorf("the xz data needs a dictionary of %d bytes, over %d", dictSize, z.maxDict)
	}
	z.size = 0
	if z.sum != nil {
		z.sum.Reset()
	}
	z.d.reset(int(dictSize))
	return nil
}

// endBlock checks sizes and the checksum after a block.
func (z *Reader) endBlock() error {
	packed := z.in.n - z.start
	if z.block.hasSize && z.block.size != z.size || z.block.hasPacked && z.block.packed != packed-z.block.length {
		return errCorrupt
	}
	for packed%4 != 0 && (z.in.n-z.start)%4 != 0 {
		b, err := z.in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return errCorrupt
		}
	}
	var stored [sha256.Size]byte
	var computed []byte
	if z.sum != nil {
		computed = z.sum.Sum(nil)
		if z.check != 10 { // the CRCs are stored with the low byte first
			for i, j := 0, len(computed)-1; i < j; i, j = i+1, j-1 {
				computed[i], computed[j] = computed[j], computed[i]
			}
		}
	}
	if err := z.in.full(stored[:len(computed)]); err != nil {
		return err
	}
	if !bytes.Equal(stored[:len(computed)], computed) {
		return errCorrupt
	}
	if len(z.blocks) == maxBlocks {
		return fmt.Errorf("the xz data has more than %d blocks", maxBlocks)
	}
	z.blocks = append(z.blocks, blockSize{packed + uint64(len(computed)), z.size})
	return nil
}

// index checks the list of blocks and the footer at the end of a stream. The
// byte that marks the index is already read.
func (z *Reader) index() error {
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	in := summed{z.in, sum}
	if err := in.expect(uint64(len(z.blocks))); err != nil {
		return err
	}
	for _, b := range z.blocks {
		if err := cmp.Or(in.expect(b.unpadded), in.expect(b.size)); err != nil {
			return err
		}
	}
	for (z.in.n-z.start)%4 != 0 {
		if err := in.expect(0); err != nil {
			return err
		}
	}
	var stored [4]byte
	if err := z.in.full(stored[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(stored[:]) != sum.Sum32() {
		return errCorrupt
	}
	return z.footer(z.in.n - z.start)
}

func (z *Reader) footer(indexSize uint64) error {
	var f [headerSize]byte
	if err := z.in.full(f[:]); err != nil {
		return err
	}
	backward := (uint64(binary.LittleEndian.Uint32(f[4:])) + 1) * 4
	if string(f[10:]) != footerMagic || f[8] != 0 || f[9] != z.check || backward != indexSize ||
		crc32.ChecksumIEEE(f[4:10]) != binary.LittleEndian.Uint32(f[:]) {
		return errCorrupt
	}
	return nil
}

// summed feeds what it reads to a checksum.
type summed struct {
	in  *counter
	sum hash.Hash32
}

func (s summed) ReadByte() (byte, error) {
	b, err := s.in.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

// expect reads a number of seven bits per byte, lowest first: xz's encoding is
// that of binary.ReadUvarint, up to 9 bytes.
func (s summed) expect(want uint64) error {
	n, err := binary.ReadUvarint(s)
	if err == nil && n != want {
		err = errCorrupt
	}
	return err
}

// numbers takes such numbers from a slice.
type numbers struct {
	left []byte
	bad  bool
}

func (v *numbers) next() uint64 {
	n, used := binary.Uvarint(v.left)
	if used <= 0 {
		v.bad = true
		return 0
	}
	v.left = v.left[used:]
	return n
}
