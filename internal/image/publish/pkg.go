// Package publish turns a build into a release folder that any web server can
// serve.
//
//	manifest.json, manifest.json.sig       what machines believe (internal/release)
//	full.wellcar, full.index               update payloads (internal/format/delta)
//	delta-VERSION-ROOT.wellcar             one for each release named
//	wellcar.img.zst, wellcar.uki.efi       for new machines
//	wellcar_production_update.wcu          all that one machine needs in one file, if asked for
//	flatcar_production_update.gz, migrate.sh for machines with Flatcar or CoreOS, if asked for
//	version.txt, contents.txt, lock.json, recipe.tar, kernel.config, build.json
//	sbom.spdx.json, provenance.intoto.json SPDX 2.3; SLSA provenance 1.0
//	FILE.sig, FILE.DIGESTS, FILE.DIGESTS.asc, FILE.DIGESTS.sig  OpenPGP, as Flatcar publishes them
//
// Equal builds, keys and dates give equal bytes: there is no clock in it.
//
// Limits: the provenance is a plain statement, not an envelope of its own; the
// manifest signs its digest.
package publish

import (
	"time"

	"wellcar.dev/internal/release"
)

// The names of the files that are made here.
const (
	FullFile       = "full.wellcar"
	IndexFile      = "full.index"
	ImageFile      = "wellcar.img.zst"
	VersionFile    = "version.txt"
	SBOMFile       = "sbom.spdx.json"
	ProvenanceFile = "provenance.intoto.json"
)

// Input is what a release is made from.
type Input struct {
	Build   string   // folder of the build
	From    []string // folders of older builds that get a delta
	Out     string   // the release folder; it does not exist yet, or is empty
	Keys    Keys
	Channel string
	Minimum string    // "" is the version itself
	Date    time.Time // of the release; goes into signatures and documents
	Expires time.Time

	Fast     bool // larger payloads in less time: for tries
	Update   bool // only what machines fetch: no disk image, no documents
	Deltas   bool // only what machines with a release of From fetch: no full payload either
	Package  bool // make release.PackageFile too
	CrAU     bool // make a payload for the update_engine of Flatcar and CoreOS too
	Parallel int
	Progress func(phase string, done, total int64) // may be nil
}

// Result describes a release folder.
type Result struct {
	Manifest release.Manifest
	Size     int64 // of all files, bytes
}
