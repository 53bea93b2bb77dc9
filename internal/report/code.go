package report

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"strings"
)

// prefix marks a code and its version.
const prefix = "W1:"

// Largest report that a code may unpack to, in bytes.
const maxDecoded = 64 << 10

// dictionary holds what reports often say, so that a code need not. It is
// part of the format: change it only together with the prefix.
const dictionary = `wellcar image cloud init user data metadata qemu aws azure gcp opt/org.flatcar-linux/config
l enabled unit masked unit disabled unit wrote drop-in wrote unit wrote SSH keys of core (1 key) created user created group
l made directory /etc/systemd/system/ /opt/ /var/lib/ /home/core/ l wrote file /etc/ (0644 root:root, bytes, sha256
n The machine reboots in 5m0s, so that the other system gets its turn.
 there is a file already; set overwrite to replace it is a directory no such file or directory permission denied not a directory
 connection refused timeout no such host status 404 the content has another sha256 no space left on device read-only file system
x contents: inline: | source: https://  mode: 0644 - path: /etc/ name: enabled: true storage: files: systemd: units: variant: flatcar version: 1.1.0 "path":"/
m 1 d 1 k 1 q 1 f 1
p provision
s config.bu:1:1: cannot write file / cannot fetch cannot make directory cannot create user cannot make partition `

// CodeText is the report as a text of capital letters, digits and the signs
// $%*+-./: and blank, as short as can be.
func (r Report) CodeText() string {
	var b bytes.Buffer
	z, err := flate.NewWriterDict(&b, flate.BestCompression, []byte(dictionary))
	if err == nil {
		_, err = z.Write(r.Encode())
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic("BUG: " + err.Error()) // a buffer takes everything
	}
	return prefix + base45(b.Bytes())
}

// DecodeText reads a code. Breaks of lines within it do not matter.
func DecodeText(text string) (Report, error) {
	text = strings.NewReplacer("\n", "", "\r", "", "\t", "").Replace(text)
	coded, ok := strings.CutPrefix(strings.TrimLeft(text, " "), prefix)
	if !ok {
		return Report{}, fmt.Errorf("reading the code of a report: it does not begin with %s", prefix)
	}
	packed, err := unbase45(coded)
	if err != nil {
		return Report{}, fmt.Errorf("reading the code of a report: %w", err)
	}
	z := flate.NewReaderDict(bytes.NewReader(packed), []byte(dictionary))
	data, err := io.ReadAll(io.LimitReader(z, maxDecoded+1))
	if err == nil && len(data) > maxDecoded {
		err = errors.New("it unpacks to more than a report can have")
	}
	if err != nil {
		return Report{}, fmt.Errorf("reading the code of a report: %w; is a part of it missing?", err)
	}
	return Decode(data)
}

// alphabet45 is that of RFC 9285, section 4.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

func base45(data []byte) string {
	var b strings.Builder
	for len(data) >= 2 {
		n := int(data[0])<<8 | int(data[1])
		b.Write([]byte{alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/45/45]})
		data = data[2:]
	}
	if len(data) == 1 {
		n := int(data[0])
		b.Write([]byte{alphabet45[n%45], alphabet45[n/45]})
	}
	return b.String()
}

func unbase45(text string) ([]byte, error) {
	var out []byte
	for len(text) > 0 {
		group := text[:min(3, len(text))]
		text = text[len(group):]
		n, weight := 0, 1
		for _, c := range []byte(group) {
			digit := strings.IndexByte(alphabet45, c)
			if digit < 0 {
				return nil, fmt.Errorf("%q is not in a code", string(rune(c)))
			}
			n += digit * weight
			weight *= 45
		}
		switch {
		case len(group) == 3 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		case len(group) == 2 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("%q is no group of a code", group)
		}
	}
	return out, nil
}
