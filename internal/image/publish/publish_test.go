package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/pe/petest"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/lock"
	"wellcar.dev/internal/release"
)

var date = time.Date(2026, 11, 23, 11, 22, 38, 0, time.UTC)

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// makeBuild writes the folder of a build with one file in /usr.
func makeBuild(t testing.TB, version string, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	tree := fstree.New()
	for name, data := range map[string][]byte{"file": content, usrProgram: []byte("#!/bin/sh\necho postinst\n"), layout.SystemdBoot: []byte("LOADER")} {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(data)}); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := erofs.Plan(tree, erofs.Options{Label: "usr"})
	if err != nil {
		t.Fatal(err)
	}
	const offset = 8192
	disk, err := os.Create(filepath.Join(dir, image.DiskFile))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	slot := shifted{disk, offset}
	if err := plan.WriteTo(slot); err != nil {
		t.Fatal(err)
	}
	salt := sha256.Sum256([]byte("salt"))
	v, err := verity.Append(disk, offset, plan.Size(), verity.Params{Salt: salt[:], UUID: layout.VerityUUID})
	if err != nil {
		t.Fatal(err)
	}
	root := hex.EncodeToString(v.RootHash[:])
	uki, err := pe.Build(petest.Stub(), pe.UKI{OSRelease: []byte("VERSION=" + version), Cmdline: "verity.usrhash=" + root}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	l := lock.Lock{Version: lock.Version, Architecture: "amd64", Suites: []lock.Suite{{Archive: "debian", Name: "trixie", Date: "2026-11-23T11:22:38Z", SHA256: root}},
		Packages: []lock.Package{{Name: "bash", Version: "5:2+b1", Architecture: "amd64", SHA256: root, Groups: []string{"image"}}}}
	locked, err := lock.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(uki)
	record, err := json.Marshal(image.Record{Name: "wellcar", Version: version, Board: "amd64-usr", RootHash: root,
		Usr: image.UsrRecord{Offset: offset, DataSize: plan.Size(), TreeSize: v.Size}, UKI: image.FileSum{Size: int64(len(uki)), SHA256: hex.EncodeToString(sum[:])},
		Packages: []image.Package{{Name: "bash", Version: "5:2+b1", Architecture: "amd64", SHA256: root}, {Name: "empty", Version: "1", Architecture: "all"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{image.UKIFile: uki, image.LockFile: locked, image.BuildFile: record, image.RecipeFile: nil, image.ConfigFile: nil,
		image.ContentsFile: []byte("f 0644 0:0 4 abc bin/bash\tbash_5:2+b1_amd64\n")} {
		write(t, filepath.Join(dir, name), data)
	}
	return dir
}

// shifted is a file that begins elsewhere.
type shifted struct {
	f  *os.File
	by int64
}

func (s shifted) WriteAt(p []byte, off int64) (int, error) { return s.f.WriteAt(p, off+s.by) }

func content(seed uint64) []byte {
	r := rand.New(rand.NewPCG(1, 1))
	out := make([]byte, 50_000)
	for i := range out {
		out[i] = byte(r.UintN(256))
	}
	out[seed*1000]++
	return out
}

// seeds is a source of "randomness" for keys.
type seeds struct{ *rand.ChaCha8 }

func makeKeys(t testing.TB, dir string, seed byte) Keys {
	t.Helper()
	random := seeds{rand.NewChaCha8([32]byte{seed})}
	if _, _, err := CreateKeys(dir, KeyOptions{From: date.AddDate(0, -1, 0), To: date.AddDate(1, 0, 0), Random: random}); err != nil {
		t.Fatal(err)
	}
	k, err := LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func trustOf(t testing.TB, keys string) release.Trust {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(keys, RootPublicFile))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := release.ParseTrust(data)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func makeRelease(t testing.TB, in Input) Result {
	t.Helper()
	in.Channel, in.Date, in.Expires = "stable", date, date.AddDate(0, 6, 0)
	r, err := Make(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRelease(t *testing.T) {
	keyDir, top := t.TempDir(), t.TempDir()
	keys := makeKeys(t, keyDir, 1)
	old, next := makeBuild(t, "1.2.3", content(1)), makeBuild(t, "1.2.4", content(2))
	a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
	in := Input{Build: next, From: []string{old, old, next}, Keys: keys, Out: a, Minimum: "1.2.0"}
	r := makeRelease(t, in)
	m, err := CheckManifest(a, trustOf(t, keyDir), release.Policy{Now: date, Board: "amd64-usr"})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Payloads) != 3 || len(m.All()) != len(r.Manifest.All()) || m.Payloads[0].FromVersion != "1.2.3" {
		t.Errorf("payloads %+v", m.Payloads)
	}
	if err := CheckFiles(a, m, nil, nil); err != nil {
		t.Error(err)
	}
	in.Out = b
	makeRelease(t, in)
	in.Out, in.Package, in.Fast = filepath.Join(top, "c"), true, true
	makeRelease(t, in)
	if packed, err := os.ReadFile(filepath.Join(in.Out, release.PackageFile)); err != nil || !bytes.HasPrefix(packed, []byte(release.PackageMagic)) {
		t.Errorf("the package: %.8q, %v", packed, err)
	}
	in.Out, in.Package, in.Update = filepath.Join(top, "d"), false, true
	makeRelease(t, in)
	if m, err := CheckManifest(in.Out, trustOf(t, keyDir), release.Policy{Now: date}); err != nil || len(m.Payloads) != 3 || len(m.Files) != 0 || CheckFiles(in.Out, m, nil, nil) != nil {
		t.Errorf("for machines only: %+v, %v", m.Files, err)
	}
	in.Out, in.Deltas = filepath.Join(top, "e"), true
	makeRelease(t, in)
	if m, err := CheckManifest(in.Out, trustOf(t, keyDir), release.Policy{Now: date}); err != nil || len(m.All()) != 1 || m.Payloads[0].Kind != release.Delta {
		t.Errorf("for machines of the older release only: %+v, %v", m.All(), err)
	}
	sameFolders(t, a, b)
	entries, err := os.ReadDir(a)
	if err != nil || len(entries) != len(m.All())+2 {
		t.Errorf("%d files in the folder, %d in the manifest, %v", len(entries), len(m.All()), err)
	}
}

func sameFolders(t *testing.T, a, b string) {
	t.Helper()
	entries, err := os.ReadDir(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		x, errX := os.ReadFile(filepath.Join(a, e.Name()))
		y, errY := os.ReadFile(filepath.Join(b, e.Name()))
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("%s differs between two releases of the same build, %v, %v", e.Name(), errX, errY)
		}
	}
}

func TestOpenPGP(t *testing.T) {
	keyDir, dir := t.TempDir(), filepath.Join(t.TempDir(), "r")
	makeRelease(t, Input{Build: makeBuild(t, "1.2.3", content(1)), Keys: makeKeys(t, keyDir, 1), Out: dir, Minimum: "0.0.0"})
	public, err := os.ReadFile(filepath.Join(keyDir, ImagePublicFile))
	if err != nil {
		t.Fatal(err)
	}
	files, err := SignedFiles(dir)
	if err != nil || len(files) < 8 {
		t.Fatalf("signed files %q, %v", files, err)
	}
	checkMissingSignatures(t, dir, public)
	for _, f := range files {
		if err := CheckOpenPGP(f, public); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(f)
		if err != nil || len(data) == 0 {
			continue
		}
		data[len(data)/2] ^= 1
		write(t, f, data)
		if err := CheckOpenPGP(f, public); err == nil {
			t.Errorf("%s has a good signature with another byte in it", f)
		}
	}
	other := t.TempDir()
	makeKeys(t, other, 2)
	if public, err = os.ReadFile(filepath.Join(other, ImagePublicFile)); err != nil {
		t.Fatal(err)
	}
	if err := CheckOpenPGP(filepath.Join(dir, VersionFile), public); err == nil {
		t.Error("another key verifies it")
	}
}

// checkMissingSignatures takes the signatures away, one at a time: the file
// that had it is not passed over.
func checkMissingSignatures(t *testing.T, dir string, public []byte) {
	t.Helper()
	for _, name := range []string{VersionFile, ImageFile, image.UKIFile + ".DIGESTS"} {
		file := filepath.Join(dir, name)
		aside := filepath.Join(t.TempDir(), "aside")
		if err := os.Rename(file+".sig", aside); err != nil {
			t.Fatal(err)
		}
		files, err := SignedFiles(dir)
		if err != nil || !slices.Contains(files, file) {
			t.Errorf("%s without a signature is not among %q, %v", name, files, err)
		}
		if err := CheckOpenPGP(file, public); err == nil {
			t.Errorf("%s passes without a signature", name)
		}
		if err := os.Rename(aside, file+".sig"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckPackage checks the one file that servers such as Nebraska hand out.
func TestCheckPackage(t *testing.T) {
	keyDir, dir, other := t.TempDir(), filepath.Join(t.TempDir(), "r"), t.TempDir()
	makeRelease(t, Input{Build: makeBuild(t, "1.2.3", content(1)), Keys: makeKeys(t, keyDir, 1), Out: dir, Minimum: "0.0.0", Package: true, Update: true})
	makeKeys(t, other, 2)
	file := filepath.Join(dir, release.PackageFile)
	for name, want := range map[string]bool{file: true, filepath.Join(dir, release.ManifestFile): false, filepath.Join(dir, FullFile): false} {
		if got, err := IsPackage(name); err != nil || got != want {
			t.Errorf("%s is a package: %v, %v", name, got, err)
		}
	}
	last := int64(0)
	m, err := CheckPackage(file, trustOf(t, keyDir), release.Policy{Now: date}, func(done, total int64) { last = total - done })
	if err != nil || m.Version != "1.2.3" || last != 0 {
		t.Errorf("%s, %v; %d bytes were not reported", m.Version, err, last)
	}
	if _, err := CheckPackage(file, trustOf(t, other), release.Policy{Now: date}, nil); err == nil {
		t.Error("a machine with another root key took it")
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "head only": whole[:20],
		"another byte": append(append(bytes.Clone(whole[:len(whole)-9]), whole[len(whole)-9]^1), whole[len(whole)-8:]...)} {
		write(t, file, data)
		if _, err := CheckPackage(file, trustOf(t, keyDir), release.Policy{Now: date}, nil); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDigests(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, []byte("abc"))
	text, err := digestText(name)
	if err != nil {
		t.Fatal(err)
	}
	want := "# MD5 HASH\n900150983cd24fb0d6963f7d28e17f72  file\n# SHA1 HASH\na9993e364706816aba3e25717850c26c9cd0d89d  file\n# SHA512 HASH\nddaf35a1"
	if !strings.HasPrefix(string(text), want) || !strings.HasSuffix(string(text), "  file\n") {
		t.Errorf("%s", text)
	}
}

func TestCheckFilesRefuses(t *testing.T) {
	keyDir, dir := t.TempDir(), filepath.Join(t.TempDir(), "r")
	makeRelease(t, Input{Build: makeBuild(t, "1.2.3", content(1)), Keys: makeKeys(t, keyDir, 1), Out: dir, Minimum: "0.0.0"})
	m, err := CheckManifest(dir, trustOf(t, keyDir), release.Policy{Now: date})
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckFiles(dir, m, []string{"other"}, nil); err == nil {
		t.Error("a file that the manifest does not list")
	}
	data, err := os.ReadFile(filepath.Join(dir, FullFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, FullFile), append(data, 0))
	if err := CheckFiles(dir, m, []string{FullFile}, nil); err == nil {
		t.Error("a payload with a byte too many")
	}
	other := t.TempDir()
	makeKeys(t, other, 2)
	if _, err := CheckManifest(dir, trustOf(t, other), release.Policy{Now: date}); err == nil {
		t.Error("a machine with another root key took it")
	}
}

func TestMakeRefuses(t *testing.T) {
	keys := makeKeys(t, t.TempDir(), 1)
	dir := makeBuild(t, "1.2.3", content(1))
	in := Input{Build: dir, Keys: keys, Out: dir, Channel: "stable", Minimum: "0.0.0", Date: date, Expires: date}
	if _, err := Make(t.Context(), in); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Error(err)
	}
	in.Out = filepath.Join(t.TempDir(), "r")
	in.From, in.Deltas = []string{dir}, true
	if _, err := Make(t.Context(), in); err == nil || !strings.Contains(err.Error(), "the same system") {
		t.Error(err)
	}
	in.From, in.Deltas = nil, false
	disk := filepath.Join(dir, image.DiskFile)
	data, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	data[8192+20_000] ^= 1
	write(t, disk, data)
	if _, err := Make(t.Context(), in); err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(in.Out)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeyRotation(t *testing.T) {
	dir := t.TempDir()
	first := makeKeys(t, dir, 1)
	second := makeKeys(t, dir, 2)
	if first.Release.ID() == second.Release.ID() {
		t.Error("no new release key")
	}
	if !bytes.Equal(first.Certificates[0].Root, second.Certificates[0].Root) || first.Image.PrimaryKey.KeyId != second.Image.PrimaryKey.KeyId {
		t.Error("another root key, or another key of the images")
	}
}

func TestDocuments(t *testing.T) {
	dir := makeBuild(t, "1.2.3", content(1))
	r, err := image.ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := os.ReadFile(filepath.Join(dir, image.ContentsFile))
	if err != nil {
		t.Fatal(err)
	}
	r.Linked = []image.Package{{Name: "grub-pc-bin", Version: "2.12-9", Architecture: "amd64", Source: "grub2"}}
	data, err := sbom(r, contents, date)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"spdxVersion": "SPDX-2.3"`, `pkg:deb/debian/bash@5%3A2%2Bb1?arch=amd64`, `"created": "2026-11-23T11:22:38Z"`, "SPDXRef-wellcard", `pkg:deb/debian/grub-pc-bin@2.12-9?arch=amd64`, "built from source package grub2"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in\n%s", want, data)
		}
	}
	if strings.Contains(string(data), "SPDXRef-deb-empty") {
		t.Error("a package without a file in the image")
	}
}
