// Package crau writes and reads the payloads of update_engine, the update
// client of Flatcar and of CoreOS Container Linux ("CrAU" files).
//
// A payload writes a /usr partition and, beside it, the file of a kernel. In
// the order of the file:
//
//	"CrAU", version 1, size of the manifest (both 64 bits, big-endian)
//	manifest     a protocol buffer: what to write where
//	blobs        the data of the operations, in their order, without gaps
//	signatures   a protocol buffer with RSA signatures of all before it
//
// Write compresses with bzip2, the only compression that the client knows, and
// unpacks each piece again before it goes into the file. Equal inputs and keys
// give equal payloads.
//
// Source: update_metadata.proto and payload_processor.cc of
// https://github.com/flatcar/update_engine (messages in updates.md 2.5).
// Limits: full payloads only, no deltas; blobs of at most 4 GiB together.
package crau

// File is the name by which clients and servers know the payload.
const File = "flatcar_production_update.gz"

// Magic begins a payload.
const Magic = "CrAU"

// HeadSize is the size of what is before the manifest, bytes.
const HeadSize = 20

// BlockSize is the unit of extents, bytes.
const BlockSize = 4096

// MaxManifest is what Parse reads at most, bytes.
const MaxManifest = 16 << 20

// signatureVersion is the one that clients look for.
const signatureVersion = 2
