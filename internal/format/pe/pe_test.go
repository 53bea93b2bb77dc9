package pe

import (
	"bytes"
	stdpe "debug/pe"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wellcar.dev/internal/sys/hermetic/tooltest"
)

// stub makes a small PE32+ image with room for some section headers.
func stub(room int) []byte {
	const lfanew, optSize = 0x80, optDirectories + 16*8
	names := []string{".text", ".sbat", ".reloc"}
	table := lfanew + 4 + coffSize + optSize
	headers := int(roundUp(uint64(table+(len(names)+room)*sectionHeaderSize), 8))
	f := make([]byte, headers)
	copy(f, "MZ")
	le.PutUint32(f[peSignatureAt:], lfanew)
	copy(f[lfanew:], "PE\x00\x00")
	coff, opt := f[lfanew+4:], f[lfanew+4+coffSize:]
	le.PutUint16(coff, 0x8664)
	le.PutUint16(coff[coffSections:], uint16(len(names)))
	le.PutUint32(coff[coffTime:], 12345)
	le.PutUint16(coff[coffOptionalSize:], optSize)
	le.PutUint16(coff[18:], 0x22e)
	le.PutUint16(opt, optMagic)
	le.PutUint32(opt[optSectionAlignment:], 4096)
	le.PutUint32(opt[optFileAlignment:], 512)
	le.PutUint32(opt[optSizeOfHeaders:], uint32(headers))
	le.PutUint16(opt[68:], 10)
	le.PutUint16(opt[optCharacteristics:], 0x160)
	le.PutUint32(opt[108:], 16)
	for i, name := range names {
		h := f[table+i*sectionHeaderSize:]
		copy(h, name)
		le.PutUint32(h[8:], 100)
		le.PutUint32(h[12:], uint32(4096*(i+1)))
		le.PutUint32(h[16:], 512)
		le.PutUint32(h[20:], uint32(len(f)))
		le.PutUint32(h[36:], containsData|memoryRead)
		f = append(f, bytes.Repeat([]byte{byte('a' + i)}, 512)...)
	}
	le.PutUint32(opt[optSizeOfImage:], 4*4096)
	return f
}

func sample() UKI {
	kernel := append(stub(0), bytes.Repeat([]byte("kernel"), 3000)...)
	return UKI{
		OSRelease: []byte("ID=flatcar\n"), Cmdline: "root=LABEL=ROOT quiet", Uname: "6.12.0",
		SBAT: []byte("sbat,1,SBAT Version\n"), Initrd: bytes.Repeat([]byte{7}, 5000), Kernel: kernel,
	}
}

func build(t *testing.T, stub []byte, u UKI) []byte {
	t.Helper()
	file, err := Build(stub, u.Sections())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func checkParts(t *testing.T, file []byte, u UKI) {
	t.Helper()
	for _, s := range u.Sections() {
		got, err := Find(bytes.NewReader(file), s.Name)
		if err != nil || !bytes.Equal(got, s.Data) {
			t.Errorf("%s has %d bytes, want %d, %v", s.Name, len(got), len(s.Data), err)
		}
	}
}

func TestBuildAndReadBack(t *testing.T) {
	u := sample()
	file := build(t, stub(10), u)
	checkParts(t, file, u)
	all, err := Sections(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	want := ".text .sbat .reloc .osrel .cmdline .uname .initrd .linux"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("sections %s, want %s", got, want)
	}
	if !bytes.Equal(file, build(t, stub(10), u)) {
		t.Error("two builds differ")
	}
	places, err := Places(bytes.NewReader(file))
	if err != nil || len(places) != len(all) {
		t.Fatalf("%d places of %d sections, %v", len(places), len(all), err)
	}
	for i, p := range places {
		if got := file[p.Offset:][:p.Size]; p.Name != all[i].Name || !bytes.Equal(got, all[i].Data) {
			t.Errorf("section %s is not at %d", p.Name, p.Offset)
		}
	}
	if none, err := Find(bytes.NewReader(file), ".dtb"); none != nil || err != nil {
		t.Error("found what is not there", err)
	}
}

func TestSigned(t *testing.T) {
	file := build(t, stub(10), sample())
	if signed, err := Signed(bytes.NewReader(file)); signed || err != nil {
		t.Errorf("signed: %v, %v", signed, err)
	}
	m, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint32(m.opt[optDirectories+8*certificateEntry+4:], 8)
	if signed, err := Signed(bytes.NewReader(file)); !signed || err != nil {
		t.Errorf("signed: %v, %v", signed, err)
	}
	if _, err := Signed(strings.NewReader("MZ")); err == nil {
		t.Error("two bytes were taken for an image")
	}
}

func TestStandardLibraryReadsIt(t *testing.T) {
	file := build(t, stub(10), sample())
	f, err := stdpe.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	opt := f.OptionalHeader.(*stdpe.OptionalHeader64)
	end := uint32(0)
	for _, s := range f.Sections {
		if s.VirtualAddress < end || s.VirtualAddress%4096 != 0 {
			t.Errorf("%s is at %#x in memory, the one before ends at %#x", s.Name, s.VirtualAddress, end)
		}
		if s.Offset%8 != 0 || int(s.Offset+s.Size) > len(file) {
			t.Errorf("%s is at %#x to %#x of %#x in the file", s.Name, s.Offset, s.Offset+s.Size, len(file))
		}
		end = s.VirtualAddress + s.VirtualSize
	}
	if opt.SizeOfImage != uint32(roundUp(uint64(end), 4096)) || f.TimeDateStamp != 0 || opt.CheckSum != 0 {
		t.Errorf("image size %#x, time %d, checksum %d", opt.SizeOfImage, f.TimeDateStamp, opt.CheckSum)
	}
}

func TestNXFollowsTheKernel(t *testing.T) {
	for _, able := range []bool{true, false} {
		u := sample()
		if !able {
			m, err := parse(u.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			le.PutUint16(m.opt[optCharacteristics:], 0)
		}
		m, err := parse(build(t, stub(10), u))
		if err != nil {
			t.Fatal(err)
		}
		if got := le.Uint16(m.opt[optCharacteristics:])&nxCompatible != 0; got != able {
			t.Errorf("kernel able: %v, image says %v", able, got)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	signed := stub(5)
	m, err := parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint32(m.opt[optDirectories+8*certificateEntry+4:], 8)
	one := []Section{{".x", []byte{1}}}
	cases := []struct {
		stub     []byte
		sections []Section
		want     string
	}{
		{stub(0), one, "no room"},
		{stub(5), []Section{{".toolongname", nil}}, "1 to 8 bytes"},
		{stub(5), append(one, one...), "twice"},
		{stub(5), []Section{{".sbat", make([]byte, 513)}}, "512 bytes of room"},
		{signed, one, "signed"},
		{[]byte("MZ"), one, "not a PE image"},
		{stub(5)[:700], one, "end"},
	}
	for _, c := range cases {
		if _, err := Build(c.stub, c.sections); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
}

// systemdStub is the real stub from the tool set.
func systemdStub(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(tooltest.Path(t, "usr/lib/systemd/boot/efi/linuxx64.efi.stub"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSystemdStub(t *testing.T) {
	u := sample()
	u.Splash, u.PCRPublicKey = []byte("BM"), []byte("-----BEGIN PUBLIC KEY-----")
	file := build(t, systemdStub(t), u)
	checkParts(t, file, u)
	name := filepath.Join(t.TempDir(), "uki.efi")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := tooltest.Command(t, "objdump", "-h", name).CombinedOutput()
	if err != nil || strings.Contains(string(out), "warning") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range u.Sections() {
		if !strings.Contains(string(out), " "+s.Name+" ") {
			t.Errorf("objdump does not show %s:\n%s", s.Name, out)
		}
	}
}

func TestSectionsOfAUKIInOrder(t *testing.T) {
	var names []string
	for _, s := range (UKI{Cmdline: "x", Kernel: []byte{1}, OSRelease: []byte{1}}).Sections() {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{".osrel", ".cmdline", ".linux"}, names); diff != "" {
		t.Error(diff)
	}
}

func FuzzSections(f *testing.F) {
	file, err := Build(stub(10), sample().Sections())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file, uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint32, value byte) {
		if int(at) < len(data) {
			data[at] ^= value
		}
		if _, err := Sections(bytes.NewReader(data)); err != nil {
			return
		}
		extra := []Section{{".extra", []byte("extra")}}
		if out, err := Build(data, extra); err == nil {
			if got, err := Find(bytes.NewReader(out), ".extra"); err != nil || string(got) != "extra" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}
