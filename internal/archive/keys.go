package archive

import (
	"bytes"
	"embed"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// The archive keys, as in Debian 13's package debian-archive-keyring 2025.1.
// The archive signs a release with its own keys and those of the one before.
//
//	trixie-automatic             04B54C3CDCA79751B16BC6B5225629DF75B188BD
//	trixie-security-automatic    5E04A1E3223A19A20706E20F9904613D4CCE68C6
//	trixie-stable                41587F7DB8C774BCCF131416762F67A0B2C39DE4
//	bookworm-automatic           B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8
//	bookworm-security-automatic  05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0
//	bookworm-stable              4D64FEC119C2029067D6E791F8D2585B8783D481
//
//go:embed keys/*.pgp
var debianKeys embed.FS

// keyring parses binary OpenPGP certificates; nil means Debian's own.
func keyring(certificates []byte) (openpgp.EntityList, error) {
	if certificates != nil {
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(certificates))
		if err != nil {
			return nil, fmt.Errorf("reading the given archive keys: %w", err)
		}
		return keys, nil
	}
	files, err := debianKeys.ReadDir("keys")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded archive keys: %w", err)
	}
	var all openpgp.EntityList
	for _, f := range files {
		data, err := debianKeys.ReadFile("keys/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the embedded archive key %s: %w", f.Name(), err)
		}
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("reading the embedded archive key %s: %w", f.Name(), err)
		}
		all = append(all, keys...)
	}
	return all, nil
}
