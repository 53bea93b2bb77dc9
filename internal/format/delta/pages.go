package delta

import (
	"errors"
	"io"
)

// pages are bytes of a size that is not known before. One slice that grows
// would take three times their size for a while.
type pages struct {
	list [][]byte
	size int64
}

const pageSize = 1 << 20

func readPages(r io.Reader) (pages, error) {
	var p pages
	for {
		page := make([]byte, pageSize)
		n, err := io.ReadFull(r, page)
		if n > 0 {
			p.list, p.size = append(p.list, page[:n]), p.size+int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return p, nil
		}
		if err != nil {
			return pages{}, err
		}
	}
}

// copy fills b from a place on; all of it must be there.
func (p pages) copy(b []byte, from int64) {
	for n := 0; n < len(b); {
		at := from + int64(n)
		n += copy(b[n:], p.list[at/pageSize][at%pageSize:])
	}
}
