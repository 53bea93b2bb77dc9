package release

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A package is a release in one file, for servers that hand out one file for
// each version: a head, the manifest, its signature, the full payload. The
// head is PackageMagic and the sizes of manifest and signature, each 32 bits,
// big-endian. Nothing in the head is trusted; the signature covers the rest.

// PackageFile is the usual name of a package.
const PackageFile = "wellcar_production_update.wcu"

// PackageMagic begins a package.
const PackageMagic = "WCUPDATE"

// PackageHeadSize is the size of a package's head, bytes.
const PackageHeadSize = int64(len(PackageMagic)) + 8

// PackageHead says where the parts of a package are.
type PackageHead struct {
	manifest int64 // size, bytes
	Payload  int64 // where the full payload begins, bytes
}

// ParsePackageHead reads the first PackageHeadSize bytes of a package.
func ParsePackageHead(b []byte) (PackageHead, error) {
	if int64(len(b)) < PackageHeadSize || string(b[:len(PackageMagic)]) != PackageMagic {
		return PackageHead{}, errors.New("reading a release package: it does not begin like one")
	}
	manifest := int64(binary.BigEndian.Uint32(b[len(PackageMagic):]))
	signature := int64(binary.BigEndian.Uint32(b[len(PackageMagic)+4:]))
	if manifest > MaxManifest || signature > MaxSignature {
		return PackageHead{}, fmt.Errorf("reading a release package: a manifest of %d bytes with a signature of %d is not possible", manifest, signature)
	}
	return PackageHead{manifest: manifest, Payload: PackageHeadSize + manifest + signature}, nil
}

// Split takes manifest and signature out of all that is before the payload.
func (h PackageHead) Split(b []byte) (manifest, signature []byte) {
	if int64(len(b)) < h.Payload {
		return nil, nil
	}
	return b[PackageHeadSize : PackageHeadSize+h.manifest], b[PackageHeadSize+h.manifest : h.Payload]
}

// WritePackage puts a release into one file.
func WritePackage(w io.Writer, manifest, signature []byte, full io.Reader) error {
	head := binary.BigEndian.AppendUint32([]byte(PackageMagic), uint32(len(manifest)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(signature)))
	if _, err := ParsePackageHead(head); err != nil {
		return err
	}
	for _, part := range [][]byte{head, manifest, signature} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("writing a release package: %w", err)
		}
	}
	if _, err := io.Copy(w, full); err != nil {
		return fmt.Errorf("writing a release package: %w", err)
	}
	return nil
}
