package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// largest text after unpacking, in bytes.
const unpackedMax = 64 << 20

// encodings are those that write_files knows.
var encodings = []string{"base64", "b64", "gz", "gzip", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64"}

// decode undoes an encoding of write_files.
func decode(content, encoding string) ([]byte, error) {
	data := []byte(content)
	var err error
	packing, outer, both := strings.Cut(encoding, "+")
	if !both {
		outer = encoding
	}
	if outer == "base64" || outer == "b64" {
		if data, err = decodeBase64(content); err != nil {
			return nil, err
		}
	}
	if packing == "gz" || packing == "gzip" {
		return gunzip(data)
	}
	return data, nil
}

// decodeBase64 reads standard base64, in which white space does not count.
func decodeBase64(s string) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("it is not base64: %w", err)
	}
	return data, nil
}

func isGzip(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it is not gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, unpackedMax+1))
	if err != nil {
		return nil, fmt.Errorf("its gzip data is damaged: %w", err)
	}
	if len(out) > unpackedMax {
		return nil, fmt.Errorf("it unpacks to more than %d MiB", unpackedMax>>20)
	}
	return out, nil
}
