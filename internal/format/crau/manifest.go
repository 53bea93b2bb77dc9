package crau

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Type is what an operation does with its data.
type Type uint64

// The types of operations that full payloads have.
const (
	Replace      Type = 0 // the data goes to the extents
	ReplaceBzip2 Type = 1 // the data goes there unpacked
)

// Extent is a range of blocks.
type Extent struct{ Start, Blocks uint64 }

// Hole is the start of an extent that is not written.
const Hole = ^uint64(0)

// Operation writes one piece.
type Operation struct {
	Type           Type
	Offset, Length uint32 // of the data, bytes behind the manifest
	Extents        []Extent
	SHA256         []byte // of the data
}

// Info describes what comes out.
type Info struct {
	Size   uint64 // bytes
	SHA256 []byte
}

// Manifest says what a payload writes.
type Manifest struct {
	Partition       []Operation // the /usr partition
	PartitionInfo   Info
	Kernel          []Operation // the file of the kernel
	KernelInfo      Info
	SignatureOffset uint64 // bytes behind the manifest
	SignatureSize   uint64
}

// Field numbers of DeltaArchiveManifest, InstallOperation, Extent,
// InstallInfo, InstallProcedure and Signatures.
const (
	fieldPartition, fieldNoop, fieldBlockSize   = 1, 2, 3
	fieldSignatureOffset, fieldSignatureSize    = 4, 5
	fieldNewInfo, fieldProcedures               = 9, 10
	opType, opOffset, opLength, opDst, opDigest = 1, 2, 3, 6, 8
	extentStart, extentBlocks                   = 1, 2
	infoSize, infoHash                          = 1, 2
	procedureType, procedureOps, procedureInfo  = 1, 2, 4
	procedureKernel                             = 0
	signatureEntry, entryVersion, entryData     = 1, 1, 2
)

func (m Manifest) encode() []byte {
	var b message
	for _, op := range m.Partition {
		b.bytes(fieldPartition, op.encode())
	}
	// Old clients skip the signatures only by an operation that writes them
	// into a hole.
	b.bytes(fieldNoop, Operation{Type: Replace, Offset: uint32(m.SignatureOffset), Length: uint32(m.SignatureSize),
		Extents: []Extent{{Hole, (m.SignatureSize + BlockSize - 1) / BlockSize}}}.encode())
	b.number(fieldBlockSize, BlockSize)
	b.number(fieldSignatureOffset, m.SignatureOffset)
	b.number(fieldSignatureSize, m.SignatureSize)
	b.bytes(fieldNewInfo, m.PartitionInfo.encode())
	var kernel message
	kernel.number(procedureType, procedureKernel)
	for _, op := range m.Kernel {
		kernel.bytes(procedureOps, op.encode())
	}
	kernel.bytes(procedureInfo, m.KernelInfo.encode())
	b.bytes(fieldProcedures, kernel)
	return b
}

func (o Operation) encode() []byte {
	var b message
	b.number(opType, uint64(o.Type))
	b.number(opOffset, uint64(o.Offset))
	b.number(opLength, uint64(o.Length))
	for _, e := range o.Extents {
		var x message
		x.number(extentStart, e.Start)
		x.number(extentBlocks, e.Blocks)
		b.bytes(opDst, x)
	}
	if o.SHA256 != nil {
		b.bytes(opDigest, o.SHA256)
	}
	return b
}

func (i Info) encode() []byte {
	var b message
	b.number(infoSize, i.Size)
	b.bytes(infoHash, i.SHA256)
	return b
}

// ParseHead returns the size of the manifest from the first HeadSize bytes.
func ParseHead(b []byte) (int64, error) {
	if len(b) < HeadSize || string(b[:len(Magic)]) != Magic {
		return 0, errors.New("reading a payload: it does not begin with " + Magic)
	}
	if v := binary.BigEndian.Uint64(b[4:]); v != 1 {
		return 0, fmt.Errorf("reading a payload: version %d is not supported, only 1", v)
	}
	size := binary.BigEndian.Uint64(b[12:])
	if size > MaxManifest {
		return 0, fmt.Errorf("reading a payload: a manifest of %d bytes is not possible", size)
	}
	return int64(size), nil
}

// ParseManifest reads a manifest. Fields that full payloads do not need are
// skipped.
func ParseManifest(b []byte) (m Manifest, err error) {
	err = fields(b, func(field int, n uint64, data []byte) (err error) {
		switch field {
		case fieldPartition:
			m.Partition, err = appendOperation(m.Partition, data)
		case fieldBlockSize:
			if n != BlockSize {
				return fmt.Errorf("blocks of %d bytes", n)
			}
		case fieldSignatureOffset:
			m.SignatureOffset = n
		case fieldSignatureSize:
			m.SignatureSize = n
		case fieldNewInfo:
			m.PartitionInfo, err = parseInfo(data)
		case fieldProcedures:
			err = m.parseProcedure(data)
		}
		return err
	})
	if err != nil {
		return m, fmt.Errorf("reading the manifest of a payload: %w", err)
	}
	return m, nil
}

func (m *Manifest) parseProcedure(b []byte) error {
	var kind uint64
	var ops []Operation
	var info Info
	err := fields(b, func(field int, n uint64, data []byte) (err error) {
		switch field {
		case procedureType:
			kind = n
		case procedureOps:
			ops, err = appendOperation(ops, data)
		case procedureInfo:
			info, err = parseInfo(data)
		}
		return err
	})
	if err == nil && kind != procedureKernel {
		err = fmt.Errorf("a procedure of type %d", kind)
	}
	m.Kernel, m.KernelInfo = ops, info
	return err
}

func appendOperation(to []Operation, b []byte) ([]Operation, error) {
	var o Operation
	err := fields(b, func(field int, n uint64, data []byte) error {
		switch field {
		case opType:
			o.Type = Type(n)
		case opOffset:
			o.Offset = uint32(n)
		case opLength:
			o.Length = uint32(n)
		case opDigest:
			o.SHA256 = data
		case opDst:
			var e Extent
			if err := fields(data, func(field int, n uint64, _ []byte) error {
				switch field {
				case extentStart:
					e.Start = n
				case extentBlocks:
					e.Blocks = n
				}
				return nil
			}); err != nil {
				return err
			}
			o.Extents = append(o.Extents, e)
		}
		return nil
	})
	return append(to, o), err
}

func parseInfo(b []byte) (i Info, err error) {
	err = fields(b, func(field int, n uint64, data []byte) error {
		switch field {
		case infoSize:
			i.Size = n
		case infoHash:
			i.SHA256 = data
		}
		return nil
	})
	return i, err
}
