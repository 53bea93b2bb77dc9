package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"wellcar.dev/internal/lock"
)

const (
	maxInRelease = 16 << 20         // bytes; trixie's has 140 000
	maxAhead     = 10 * time.Minute // how far a server's clock may be ahead of ours
)

// A release is what a checked InRelease file says.
type release struct {
	suite  lock.Suite
	byHash bool                 // files are also found by their hash
	files  map[string]indexFile // by path below the suite's folder
}

// An indexFile is one line of the list of hashes.
type indexFile struct {
	size   int64
	sha256 string
}

// release fetches and checks the InRelease file of one suite.
func (c Client) release(ctx context.Context, keys openpgp.KeyRing, archive, suite, arch string) (*release, error) {
	address, err := c.Mirror.address(archive, "dists/"+suite+"/InRelease")
	if err != nil {
		return nil, err
	}
	data, err := c.get(ctx, address, maxInRelease)
	if err != nil {
		return nil, fmt.Errorf("downloading %s: %w", shown(address), err)
	}
	r, err := readRelease(data, keys, archive, suite, arch, c.now())
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", shown(address), err)
	}
	return r, nil
}

// readRelease checks the signature of an InRelease file, then what it says:
// that it is of the wanted suite and architecture and that it is in force now.
func readRelease(data []byte, keys openpgp.KeyRing, archive, suite, arch string, now time.Time) (*release, error) {
	text, err := verified(data, keys, now)
	if err != nil {
		return nil, err
	}
	fields, err := newStanzaReader(bufio.NewReader(bytes.NewReader(text)), releaseField).next()
	if err != nil {
		return nil, fmt.Errorf("reading the signed text: %w", err)
	}
	if fields["codename"] != suite && fields["suite"] != suite {
		return nil, fmt.Errorf("it is for the suite %q (codename %q), not for %s", fields["suite"], fields["codename"], suite)
	}
	if !slices.Contains(strings.Fields(fields["architectures"]), arch) {
		return nil, fmt.Errorf("%s has no packages for %s, only for %s", suite, arch, fields["architectures"])
	}
	date, err := inForce(fields, now)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	r := &release{
		suite:  lock.Suite{Archive: archive, Name: suite, Date: date.UTC().Format(time.RFC3339), SHA256: hex.EncodeToString(sum[:])},
		byHash: fields["acquire-by-hash"] == "yes",
	}
	r.files, err = parseHashes(fields["sha256"])
	return r, err
}

func releaseField(name string) bool {
	switch name {
	case "suite", "codename", "date", "valid-until", "architectures", "acquire-by-hash", "sha256":
		return true
	}
	return false
}

// verified returns the text of a clear-signed message that at least one of
// the keys signed. Text outside the signature is never returned.
func verified(data []byte, keys openpgp.KeyRing, now time.Time) ([]byte, error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, errors.New("it is not signed")
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	signatures := packet.NewOpaqueReader(block.ArmoredSignature.Body)
	var issuers []string
	var bad error
	for {
		p, err := signatures.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading its signature: %w", err)
		}
		var one bytes.Buffer
		if err := p.Serialize(&one); err != nil {
			return nil, fmt.Errorf("reading its signature: %w", err)
		}
		issuer := issuerOf(p)
		signature, _, err := openpgp.VerifyDetachedSignature(keys, bytes.NewReader(block.Bytes), &one, config)
		if err == nil && signature != nil {
			return block.Bytes, nil
		}
		if issuers = append(issuers, issuer); !errors.Is(err, pgperrors.ErrUnknownIssuer) {
			bad = fmt.Errorf("its signature by key %s is not valid at %s: %w", issuer, now.UTC().Format(time.RFC3339), err)
		}
	}
	if bad != nil {
		return nil, bad
	}
	return nil, fmt.Errorf("it is signed by unknown keys only: %s", strings.Join(issuers, ", "))
}

// issuerOf names the key of a signature, for messages.
func issuerOf(p *packet.OpaquePacket) string {
	parsed, err := p.Parse()
	if signature, ok := parsed.(*packet.Signature); err == nil && ok && signature.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *signature.IssuerKeyId)
	}
	return "(not named)"
}

// inForce checks Date and Valid-Until; without the latter there is no limit.
func inForce(fields map[string]string, now time.Time) (time.Time, error) {
	date, err := parseDate(fields["date"])
	if err != nil {
		return time.Time{}, fmt.Errorf("reading its Date: %w", err)
	}
	if date.After(now.Add(maxAhead)) {
		return time.Time{}, fmt.Errorf("it is of %s, which is in the future: is the clock right? It is %s", fields["date"], now.UTC().Format(time.RFC3339))
	}
	if fields["valid-until"] == "" {
		return date, nil
	}
	until, err := parseDate(fields["valid-until"])
	if err != nil {
		return time.Time{}, fmt.Errorf("reading its Valid-Until: %w", err)
	}
	if now.After(until) {
		return time.Time{}, fmt.Errorf("it expired at %s: the mirror is not kept up to date, or the clock is wrong (it is %s)", fields["valid-until"], now.UTC().Format(time.RFC3339))
	}
	return date, nil
}

func parseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC1123, s)
	if err != nil {
		return time.Parse("Mon, _2 Jan 2006 15:04:05 MST", s)
	}
	return t, nil
}

// parseHashes reads lines of "hash size path".
func parseHashes(text string) (map[string]indexFile, error) {
	files := map[string]indexFile{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		if len(words) != 3 || !isSHA256(words[0]) {
			return nil, fmt.Errorf("reading its list of SHA256: %q is not a hash, a size and a path", line)
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("reading its list of SHA256: %q is not a size", words[1])
		}
		files[words[2]] = indexFile{size: size, sha256: words[0]}
	}
	return files, nil
}

// isSHA256 tells whether s is a hash in the form that file names have.
func isSHA256(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
