//go:build linux

package update

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wellcar.dev/internal/format/delta"
	"wellcar.dev/internal/format/erofs"
	"wellcar.dev/internal/format/fstree"
	"wellcar.dev/internal/format/pe"
	"wellcar.dev/internal/format/verity"
	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/layout"
	"wellcar.dev/internal/release"
	"wellcar.dev/internal/server"
	"wellcar.dev/internal/slot"
)

// memory is a file that grows.
type memory struct{ data []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(m.data) {
		m.data = append(m.data, make([]byte, end-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

// made is a release in memory.
type made struct {
	payload.Image
	version string
	usr     []byte // with its tree
	uki     []byte
}

// makeImage makes a release whose /usr has one file of its own.
func makeImage(t *testing.T, version string) made {
	t.Helper()
	tree := fstree.New()
	same := make([]byte, 300_000)
	for i := range same {
		same[i] = byte(i * i >> 7)
	}
	for name, data := range map[string][]byte{"a-version": bytes.Repeat([]byte(version), 5000), "b-same": same} {
		if err := tree.Put(fstree.Node{Path: name, Kind: fstree.File, Mode: 0o644, Blob: fstree.BytesBlob(data)}); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := erofs.Plan(tree, erofs.Options{Label: "usr"})
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{data: make([]byte, plan.Size())}
	if err := plan.WriteTo(m); err != nil {
		t.Fatal(err)
	}
	salt := sha256.Sum256([]byte("salt"))
	v, err := verity.Append(m, 0, plan.Size(), verity.Params{Salt: salt[:], UUID: layout.VerityUUID})
	if err != nil {
		t.Fatal(err)
	}
	uki := makeKernel(t, version, v.RootHash)
	r := delta.Release{RootHash: v.RootHash, Salt: salt, UsrSize: plan.Size(), UKISize: int64(len(uki)), UKIHash: sha256.Sum256(uki)}
	return made{payload.Image{Release: r, Usr: m, UKI: bytes.NewReader(uki)}, version, m.data, uki}
}

func makeKernel(t *testing.T, version string, rootHash [32]byte) []byte {
	t.Helper()
	uki, err := pe.Build(stub(), pe.UKI{OSRelease: []byte("VERSION=" + version + "\n"), Cmdline: fmt.Sprintf("quiet verity.usrhash=%x", rootHash), Uname: "6.12",
		Initrd: bytes.Repeat([]byte("initrd of "+version), 300), Kernel: bytes.Repeat([]byte("kernel"), 3000)}.Sections())
	if err != nil {
		t.Fatal(err)
	}
	return uki
}

// stub is a PE32+ image without sections and with room for some.
func stub() []byte {
	b := make([]byte, 4096)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], 64)
	copy(b[64:], "PE\x00\x00")
	le.PutUint16(b[68:], 0x8664)
	le.PutUint16(b[84:], 240)
	opt := b[88:]
	le.PutUint16(opt, 0x20b)
	le.PutUint32(opt[32:], 4096)
	le.PutUint32(opt[36:], 512)
	le.PutUint32(opt[56:], 4096)
	le.PutUint32(opt[60:], 4096)
	return b
}

// publisher signs releases.
type publisher struct {
	key          release.PrivateKey
	certificates []release.Certificate
	trust        []byte
}

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	root, err := release.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{}
	if p.key, err = release.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	c, err := release.Certify(root, p.key, now.AddDate(0, -1, 0), now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	p.certificates = []release.Certificate{c}
	if p.trust, err = root.MarshalPublic(); err != nil {
		t.Fatal(err)
	}
	return p
}

// publish makes a release folder; spoil may damage a payload before it is
// signed or after.
func (p *publisher) publish(t *testing.T, next made, from ...made) string {
	t.Helper()
	dir := t.TempDir()
	to := next.Release
	digest := sha256.Sum256(next.usr[:to.UsrSize])
	m := release.Manifest{Schema: release.Schema, Product: release.Product, Board: "amd64-usr", Channel: "stable", Version: next.version, Minimum: "1.0.0",
		Expires: release.FormatTime(now.AddDate(0, 1, 0)), RootHash: hex.EncodeToString(to.RootHash[:]), Salt: hex.EncodeToString(to.Salt[:]),
		UsrSize: to.UsrSize, TreeSize: int64(len(next.usr)) - to.UsrSize, UsrHash: hex.EncodeToString(digest[:]), UKISize: to.UKISize, UKIHash: hex.EncodeToString(to.UKIHash[:])}
	var b bytes.Buffer
	for _, old := range from {
		b.Reset()
		if _, err := payload.Delta(t.Context(), old.Image, next.Image, &b, payload.Options{}); err != nil {
			t.Fatal(err)
		}
		e := addPayload(t, dir, "from-"+old.version+".delta", release.Delta, b.Bytes())
		e.FromVersion, e.FromRootHash = old.version, hex.EncodeToString(old.Release.RootHash[:])
		m.Payloads = append(m.Payloads, e)
	}
	b.Reset()
	var index bytes.Buffer
	if _, err := payload.Full(t.Context(), next.Image, &b, &index, payload.Options{}); err != nil {
		t.Fatal(err)
	}
	m.Payloads = append(m.Payloads, addPayload(t, dir, "full.payload", release.Full, b.Bytes()))
	write(t, dir, "full.index", index.Bytes())
	sum := sha256.Sum256(index.Bytes())
	m.Payloads = append(m.Payloads, release.Payload{Kind: release.Index, File: release.File{Name: "full.index", Size: int64(index.Len()), SHA256: hex.EncodeToString(sum[:])},
		HeadSize: int64(index.Len()), HeadHash: hex.EncodeToString(sum[:])})
	data, err := release.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := release.Sign(data, p.key, p.certificates)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, release.ManifestFile, data)
	write(t, dir, release.SignatureFile, sig)
	return dir
}

func addPayload(t *testing.T, dir, name string, kind release.Kind, data []byte) release.Payload {
	t.Helper()
	write(t, dir, name, data)
	head, err := delta.ParseHead(data)
	if err != nil {
		t.Fatal(err)
	}
	whole, start := sha256.Sum256(data), sha256.Sum256(data[:head.Size])
	return release.Payload{Kind: kind, File: release.File{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(whole[:])},
		HeadSize: head.Size, HeadHash: hex.EncodeToString(start[:])}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// box is a machine made of files: what the kernel shows, two slots, the EFI
// system partition.
type box struct {
	*testing.T
	root string
	boot Boot
}

const slotSize = 2 << 20

// newBox is a machine that runs an image in slot A, where it is good.
func newBox(t *testing.T, running made, trust []byte) *box {
	t.Helper()
	b := &box{T: t, root: t.TempDir()}
	b.boot = Boot{ESP: ESP{Dir: filepath.Join(b.root, "boot"), Free: func(string) (int64, error) { return 64 << 20, nil }}, Root: b.root}
	class := filepath.Join(b.root, "sys/class/block")
	if err := os.MkdirAll(class, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, about := range map[string]string{"vda": "DEVTYPE=disk\nDEVNAME=vda\n", "vda/vda3": "DEVTYPE=partition\nDEVNAME=vda3\nPARTN=3\n", "vda/vda4": "DEVTYPE=partition\nDEVNAME=vda4\nPARTN=4\n", "dm-0": "DEVTYPE=disk\nDEVNAME=dm-0\n"} {
		write(t, b.root, "sys/devices/"+dir+"/uevent", []byte("MAJOR=1\nMINOR=2\n"+about))
		write(t, b.root, "sys/devices/"+dir+"/size", fmt.Append(nil, slotSize/512, "\n"))
		write(t, b.root, "sys/devices/"+dir+"/ro", []byte("0\n"))
		write(t, b.root, "sys/devices/"+dir+"/start", []byte("0\n"))
		if !strings.Contains(dir, "/") {
			write(t, b.root, "sys/devices/"+dir+"/queue/logical_block_size", []byte("512\n"))
		}
		b.link(filepath.Base(dir), dir)
	}
	write(t, b.root, "sys/devices/dm-0/dm/name", []byte("usr\n"))
	write(t, b.root, "dev/vda3", append(bytes.Clone(running.usr), make([]byte, slotSize-len(running.usr))...))
	write(t, b.root, "dev/vda4", make([]byte, slotSize))
	write(t, b.root, "boot/EFI/Linux/wellcar-"+running.version+".efi", running.uki)
	write(t, b.root, "etc/machine-id", []byte("0123456789abcdef0123456789abcdef\n"))
	write(t, b.root, OwnKeys, trust)
	b.bootInto(slot.A, running, "boot-1")
	return b
}

// link lets the kernel show a device.
func (b *box) link(name, dir string) {
	b.Helper()
	if err := os.Symlink("../../devices/"+dir, filepath.Join(b.root, "sys/class/block", name)); err != nil {
		b.Fatal(err)
	}
}

// bootInto makes the machine one that was started with an image in a slot.
func (b *box) bootInto(id slot.ID, running made, bootID string) {
	b.Helper()
	slaves := filepath.Join(b.root, "sys/devices/dm-0/slaves")
	if err := os.RemoveAll(slaves); err != nil {
		b.Fatal(err)
	}
	write(b.T, slaves, fmt.Sprintf("vda%d", partitionOf(id)), nil)
	write(b.T, b.root, "proc/cmdline", fmt.Appendf(nil, "verity.usrhash=%x\n", running.Release.RootHash))
	write(b.T, b.root, "proc/sys/kernel/random/boot_id", []byte(bootID+"\n"))
	write(b.T, b.root, "usr/share/flatcar/release", []byte("FLATCAR_RELEASE_VERSION="+running.version+"\nFLATCAR_RELEASE_BOARD=amd64-usr\n"))
	if err := os.RemoveAll(filepath.Join(b.root, "run")); err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b.root, "run"), 0o755); err != nil {
		b.Fatal(err)
	}
}

// start lets systemd-boot choose, and starts that.
func (b *box) start(bootID string, images ...made) made {
	b.Helper()
	kernels, err := b.boot.ESP.Kernels()
	if err != nil {
		b.Fatal(err)
	}
	next := slot.Order(kernels)[0]
	if next.Counted && next.Left > 0 {
		n := slot.Name{Version: next.Version, Counted: true, Left: next.Left - 1, Done: next.Done + 1}
		if err := b.boot.ESP.Do([]slot.Change{{From: next.Name, To: &n}}); err != nil {
			b.Fatal(err)
		}
	}
	for _, m := range images {
		if m.Release.RootHash != next.RootHash {
			continue
		}
		for _, id := range []slot.ID{slot.A, slot.B} {
			if key, ok := held(filepath.Join(b.root, fmt.Sprintf("dev/vda%d", partitionOf(id)))); ok && key == KeyOf(next.RootHash) {
				b.bootInto(id, m, bootID)
				return m
			}
		}
	}
	b.Fatalf("%s starts no slot", next.File())
	return made{}
}

func (b *box) kernels() string {
	b.Helper()
	entries, err := os.ReadDir(filepath.Join(b.root, "boot/EFI/Linux"))
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "wellcar-"), ".efi"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// service is a client of the machine; it checks only when asked.
func (b *box) service() (s *Service, states chan Operation) {
	states = make(chan Operation, 1000)
	s = NewService("x86_64")
	s.Root, s.Boot, s.Logf, s.Random = b.root, b.boot, b.Logf, func() float64 { return 0.5 }
	s.Now = func() time.Time { return now }
	s.After = func(time.Duration) <-chan time.Time { return nil }
	last := Operation("")
	s.Notify = func(st Status) {
		if st.Operation != last {
			last = st.Operation
			states <- last
		}
	}
	s.Reboot = func() error { states <- "REBOOT"; return nil }
	return s, states
}

// world is a server that machines ask, and what they told it.
type world struct {
	mu    sync.Mutex
	dir   string
	told  []string
	wire  strings.Builder                               // each Omaha request and answer
	spoil func(path string, w http.ResponseWriter) bool // it has answered
	*httptest.Server
}

func newWorld(t *testing.T, dir string) *world {
	w := &world{dir: dir}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		h, spoil := server.Handler{Dir: w.dir, Logf: w.note}, w.spoil
		w.mu.Unlock()
		if spoil != nil && spoil(r.URL.Path, out) {
			return
		}
		if r.URL.Path == server.UpdatePath+"/" {
			w.converse(h, out, r)
			return
		}
		h.ServeHTTP(out, r)
	}))
	t.Cleanup(w.Close)
	return w
}

// converse answers and keeps what was said.
func (w *world) converse(h http.Handler, out http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(asked))
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	w.mu.Lock()
	fmt.Fprintf(&w.wire, "> %s %s %s\n%s\n< %d %s\n%s\n", r.Method, r.URL.Path, r.Header.Get("Content-Type"), asked, answer.Code, answer.Header().Get("Content-Type"), answer.Body)
	w.mu.Unlock()
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	out.Write(answer.Body.Bytes())
}

// exchange is the whole conversation without what differs from run to run:
// keys, digests and the address of the server.
func (w *world) exchange() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.ReplaceAll(w.wire.String(), w.URL, "http://server")
	return changing.ReplaceAllString(text, `$1="..."`)
}

var changing = regexp.MustCompile(`(hash|hash_sha256|sha256|size)="[^"]*"`)

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, strings.TrimPrefix(fmt.Sprintf(format, args...), "0123456789abcdef0123456789abcdef "))
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.told, "\n")
}

// follow makes the machine follow the server.
func (b *box) follow(w *world) {
	write(b.T, b.root, "etc/flatcar/update.conf", []byte("GROUP=stable\nSERVER="+w.URL+"/v1/update/\n"))
}

// attempt runs the client from its start until one check has ended.
func (b *box) attempt(s *Service, states chan Operation) (seen []string) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	s.Start()
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-s.proved
	s.Attempt()
	for {
		select {
		case op := <-states:
			seen = append(seen, strings.TrimPrefix(string(op), "UPDATE_STATUS_"))
			if op == Idle || op == NeedReboot {
				return seen
			}
		case <-time.After(time.Minute):
			b.Fatalf("the check did not end; seen %v", seen)
		}
	}
}
