// Package release is what a release says about itself and why a machine may
// believe it: the signed manifest.
//
// A release folder lies on any web server. Beside the payloads it has
// manifest.json, which lists every file with size and SHA-256, and
// manifest.json.sig, which says who stands for it. docs/formats.md describes
// both byte by byte.
//
//	m, err := release.Verify(trust, manifest, signature, release.Policy{Now: now, Board: "amd64-usr"})
//
// # Threats
//
// The attacker owns the server, the network, mirrors and proxies, has every
// release ever made, and may have had a release key in the past. The attacker
// does not have a root key, and not the /usr that runs. Then a machine must
// never boot bytes that the holder of the root key did not want it to boot
// today. docs/formats.md names the tests:
//
//   - unsigned, wrong key, altered manifest: an Ed25519 signature by a release
//     key covers every byte of the manifest.
//   - stolen release key: a root key signs each release key for a span of
//     time. The root key stays offline and signs nothing else: a manifest that
//     it signed is refused, and the two kinds of signature are over messages
//     with different first lines, so that neither passes for the other.
//   - old release key: outside its span it counts for nothing.
//   - replay of an old release: a manifest expires, and a machine installs
//     nothing below the minimum of a release that it installed before, unless
//     a person names the version.
//   - mixed versions, swapped payload, truncated or oversize files: the
//     manifest fixes size and digest of each file, and of the head of each
//     payload, which in turn has the digests of its segments, so that nothing
//     is written to a slot before it is checked. The root hash of /usr fixes
//     what comes out.
//   - other board: it is in the manifest.
//   - path tricks: names are plain file names of a small alphabet.
//   - two readings of one text: exactly one encoding of a manifest is valid.
//
// # Limits
//
// A lost root key is replaced by a new image only, or on the machine by
// mounting another key file over KeyPath. There is no list of revoked release
// keys: make their spans short. Expiry trusts the machine's clock; the caller
// passes the later of it and the latest time at which it believed a manifest.
// Somebody who can hold back everything can hold back updates until the expiry
// is noticed. The channel of a manifest is for people: groups
// are free names, and the server says which release one gets.
package release

// KeyPath is the file with the root keys that a machine trusts: PEM, one
// block for each. It may be mounted over at run time.
const KeyPath = "/usr/share/wellcar/release-keys.pem"

// The names of the manifest and its signature in a release folder.
const (
	ManifestFile  = "manifest.json"
	SignatureFile = "manifest.json.sig"
)

// What a machine reads at most of either file, bytes.
const (
	MaxManifest  = 1 << 20
	MaxSignature = 64 << 10
)
