// Package payload makes the update payloads of a release: the full one, and
// deltas from other releases. The format is that of internal/format/delta.
//
// What pays in a delta is to know which old bytes the new ones come from. The
// /usr image is uncompressed and each file is one run of blocks, so files are
// compared with their own older versions: those of the same path, or of the
// same path but for the version of the kernel and the numbers of a library.
//
// Every payload is proved before it is handed out: the code that machines run
// makes the release from it again, and each byte is compared.
//
// Limits: at most 1 GB of memory and two minutes for a pair; large files are
// compared piece by piece, so content that moved far within a file of more
// than 12 MiB is sent again.
package payload

import (
	"io"
	"runtime"

	"wellcar.dev/internal/format/delta"
)

// Image is a release as its producer has it.
type Image struct {
	Release delta.Release
	Usr     io.ReaderAt // the /usr file system and, behind it, its verity tree
	UKI     io.ReaderAt
}

// Options are the choices of a producer.
type Options struct {
	// Fast makes full payloads that are larger, in a tenth of the time.
	Fast bool
	// The result does not depend on what follows.
	Parallel int                                   // goroutines that compare; 0 means one per CPU
	Progress func(phase string, done, total int64) // bytes; may be nil
}

func (o Options) parallel() int {
	if o.Parallel <= 0 {
		return runtime.NumCPU()
	}
	return o.Parallel
}

func (o Options) progress(phase string, done, total int64) {
	if o.Progress != nil {
		o.Progress(phase, done, total)
	}
}
