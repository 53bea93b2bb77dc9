package publish

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"wellcar.dev/internal/image"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/release"
)

// versionText is version.txt, which shell scripts source.
func versionText(r image.Record) []byte {
	return fmt.Appendf(nil, "FLATCAR_VERSION=%[1]s\nFLATCAR_VERSION_ID=%[1]s\nFLATCAR_BUILD_ID=%[2]q\nFLATCAR_SDK_VERSION=%[1]s\n",
		r.Version, r.RootHash[:16])
}

// object is a JSON object. Its keys are written in their order.
type object = map[string]any

// sbom is the software bill of materials, SPDX 2.3
// (https://spdx.github.io/spdx-spec/v2.3/): the packages of the image that
// have files in it or are linked into it, and our own programs.
func sbom(r image.Record, contents []byte, date time.Time) ([]byte, error) {
	files := filesOf(contents)
	const whole = "SPDXRef-image"
	packages := []object{{
		"SPDXID": whole, "name": "wellcar-container-linux", "versionInfo": r.Version, "downloadLocation": "NOASSERTION",
		"filesAnalyzed": false, "supplier": "Organization: Wellcar", "primaryPackagePurpose": "OPERATING-SYSTEM",
		"comment": "root hash of /usr: " + r.RootHash,
	}}
	relations := []object{{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": whole}}
	add := func(id string, p object) {
		p["SPDXID"], p["downloadLocation"], p["filesAnalyzed"] = id, "NOASSERTION", false
		packages = append(packages, p)
		relations = append(relations, object{"spdxElementId": whole, "relationshipType": "CONTAINS", "relatedSpdxElement": id})
	}
	debian := func(p image.Package, comment string) {
		add("SPDXRef-deb-"+spdxWord(p.Name+"-"+p.Architecture), object{
			"name": p.Name, "versionInfo": p.Version, "supplier": "Organization: Debian", "sourceInfo": sourceInfo(p), "comment": comment,
			"checksums":    []object{{"algorithm": "SHA256", "checksumValue": p.SHA256}},
			"externalRefs": []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": packageURL(p)}},
		})
	}
	for _, p := range r.Packages {
		if n := files[p.Name+"_"+p.Version+"_"+p.Architecture]; n > 0 {
			debian(p, fmt.Sprintf("%d names in /usr", n))
		}
	}
	for _, p := range r.Linked {
		debian(p, "linked into the image's own GRUB")
	}
	for _, own := range [][2]string{{"wellcard", r.Inputs.Wellcard}, {"wellcar-init", r.Inputs.Init}} {
		add("SPDXRef-"+own[0], object{"name": own[0], "versionInfo": r.Version, "supplier": "Organization: Wellcar",
			"checksums": []object{{"algorithm": "SHA256", "checksumValue": own[1]}}})
	}
	return indent(object{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "wellcar-" + r.Version,
		"documentNamespace": "https://wellcar.dev/spdx/" + r.Version + "/" + r.RootHash,
		"creationInfo":      object{"created": release.FormatTime(date), "creators": []string{"Tool: wellcar"}},
		"packages":          packages, "relationships": relations,
	})
}

// filesOf counts the names that came from each package.
func filesOf(contents []byte) map[string]int {
	count := map[string]int{}
	for s := bufio.NewScanner(bytes.NewReader(contents)); s.Scan(); {
		if _, origin, ok := strings.Cut(s.Text(), "\t"); ok {
			count[origin]++
		}
	}
	return count
}

func sourceInfo(p image.Package) string {
	if p.Source == "" {
		return "built from source package " + p.Name
	}
	return "built from source package " + p.Source
}

// packageURL names a package in the purl scheme.
func packageURL(p image.Package) string {
	return fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=trixie", url.PathEscape(p.Name), url.QueryEscape(p.Version), p.Architecture)
}

// spdxWord leaves the characters that an identifier may have.
func spdxWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
}

// provenance says how the files were made: an in-toto statement with a SLSA
// predicate (https://slsa.dev/spec/v1.0/provenance).
func provenance(r image.Record, l lock.Lock, files []release.File) ([]byte, error) {
	var subjects, inputs []object
	for _, f := range files {
		subjects = append(subjects, object{"name": f.Name, "digest": object{"sha256": f.SHA256}})
	}
	for _, s := range l.Suites {
		inputs = append(inputs, object{"name": s.Archive + "/" + s.Name, "digest": object{"sha256": s.SHA256},
			"annotations": object{"date": s.Date}})
	}
	for _, p := range l.Group("image") {
		inputs = append(inputs, object{"name": p.ID(), "uri": packageURL(image.Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture}),
			"digest": object{"sha256": p.SHA256}, "annotations": object{"archive": p.Archive, "path": p.Path}})
	}
	for _, own := range [][2]string{{"wellcard", r.Inputs.Wellcard}, {"wellcar-init", r.Inputs.Init}} {
		inputs = append(inputs, object{"name": own[0], "digest": object{"sha256": own[1]}})
	}
	parameters := object{"recipe": object{"sha256": r.Inputs.Recipe}, "lock": object{"sha256": r.Inputs.Lock}, "version": r.Version}
	if r.Platform != "" {
		parameters["platform"] = r.Platform
	}
	return indent(object{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": "https://slsa.dev/provenance/v1",
		"predicate": object{
			"buildDefinition": object{
				"buildType":            "https://wellcar.dev/build/v1",
				"externalParameters":   parameters,
				"internalParameters":   object{"board": r.Board, "locked": r.Locked, "kernel": r.Kernel, "root_hash": r.RootHash},
				"resolvedDependencies": inputs,
			},
			"runDetails": object{"builder": object{"id": "https://wellcar.dev/build/wellcar"}},
		},
	})
}

func indent(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", " ")
	return append(data, '\n'), err
}
