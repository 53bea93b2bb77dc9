package platform

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestHyperV(t *testing.T) {
	fetch := func(pairs ...Pair) Found {
		t.Helper()
		env := Env{Cloud: Cloud{Pools: func(context.Context) (map[int][]Pair, error) {
			return map[int][]Pair{0: pairs, 3: {{"a", "b"}}}, nil
		}}}
		got, err := User(t.Context(), "hyperv", env)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := fetch(Pair{"ignition.config", ign}, Pair{"ignition.config.0", "no"}); string(got.Data) != ign {
		t.Errorf("%q", got.Data)
	}
	got := fetch(Pair{"ignition.config.1", ign[5:]}, Pair{"ignition.config.0", ign[:5]}, Pair{"ignition.config.3", "lost"})
	if string(got.Data) != ign {
		t.Errorf("%q", got.Data)
	}
	pool, err := decodePool(got.Output["/var/lib/hyperv/.kvp_pool_3"])
	if diff := cmp.Diff([]Pair{{"a", "b"}}, pool); diff != "" || err != nil || len(got.Output) != 2 {
		t.Errorf("%s %v", diff, err)
	}
	if got := fetch(); got.Data != nil {
		t.Errorf("%q", got.Data)
	}
}

func TestVirtualBox(t *testing.T) {
	properties := map[string][]byte{vboxConfig: []byte(ign)}
	env := Env{Cloud: Cloud{
		Property:       func(name string) ([]byte, error) { return properties[name], nil },
		DeleteProperty: func(name string) error { delete(properties, name); return nil },
	}}
	got, err := User(t.Context(), "virtualbox", env)
	if err != nil || string(got.Data) != ign {
		t.Errorf("%+v %v", got, err)
	}
	properties[vboxEncoding] = []byte("gzip")
	if _, err := User(t.Context(), "virtualbox", env); err == nil || !strings.Contains(err.Error(), `Encoding is "gzip"`) {
		t.Error(err)
	}
	if err := Forget(t.Context(), "virtualbox", env); err != nil || len(properties) != 0 {
		t.Error(err, properties)
	}
}

// guestinfo is a table of keys.
func guestinfo(keys map[string]string) Env {
	return Env{Cloud: Cloud{
		Guestinfo:    func(key string) (string, error) { return keys[key], nil },
		SetGuestinfo: func(key, value string) error { keys[key] = value; return nil },
	}}
}

const ovf = `<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" oe:id="">
  <PropertySection>
    <Property oe:key="guestinfo.hostname" oe:value="web &amp; co"/>
    <Property oe:key="guestinfo.ignition.config.data" oe:value="` + ign64 + `"/>
    <Property oe:key="guestinfo.ignition.config.data.encoding" oe:value="base64"></Property>
  </PropertySection>
</Environment>
`

func TestVMware(t *testing.T) {
	gz64 := b64(ignGz)
	for name, tc := range map[string]struct {
		keys  map[string]string
		fails string
		none  bool
	}{
		"plain":       {keys: map[string]string{vmwareData: ign}},
		"base64":      {keys: map[string]string{vmwareData: ign64, vmwareEncoding: "base64"}},
		"b64":         {keys: map[string]string{vmwareData: ign64, vmwareEncoding: "b64"}},
		"gzip":        {keys: map[string]string{vmwareData: ignGz, vmwareEncoding: "gzip"}},
		"gz":          {keys: map[string]string{vmwareData: ignGz, vmwareEncoding: "gz"}},
		"gzip+base64": {keys: map[string]string{vmwareData: gz64, vmwareEncoding: "gzip+base64"}},
		"gz+base64":   {keys: map[string]string{vmwareData: gz64, vmwareEncoding: "gz+base64"}},
		"gzip+b64":    {keys: map[string]string{vmwareData: gz64, vmwareEncoding: "gzip+b64"}},
		"gz+b64":      {keys: map[string]string{vmwareData: gz64, vmwareEncoding: "gz+b64"}},
		"xz":          {keys: map[string]string{vmwareData: ign, vmwareEncoding: "xz"}, fails: `the encoding "xz" is not known`},
		"base64+gzip": {keys: map[string]string{vmwareData: ign, vmwareEncoding: "base64+gzip"}, fails: "is not known"},
		"xz+base64":   {keys: map[string]string{vmwareData: ign64, vmwareEncoding: "xz+base64"}, fails: "is not known"},
		"bad base64":  {keys: map[string]string{vmwareData: ign, vmwareEncoding: "base64"}, fails: "is not base64"},
		"ovf":         {keys: map[string]string{vmwareOVF: ovf}},
		"key first":   {keys: map[string]string{vmwareOVF: ovf, vmwareData: ign64}},
		"broken ovf":  {keys: map[string]string{vmwareOVF: "<a", vmwareData: ign}},
		"coreos":      {keys: map[string]string{"coreos.config.data": ign64, "coreos.config.data.encoding": "base64"}},
		"none":        {keys: map[string]string{}, none: true},
	} {
		got, err := User(t.Context(), "vmware", guestinfo(tc.keys))
		switch {
		case tc.fails != "":
			if err == nil || !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("%s: %v", name, err)
			}
		case tc.none:
			if err != nil || got.Data != nil {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		case err != nil || string(got.Data) != ign:
			t.Errorf("%s: %q %v", name, got.Data, err)
		}
	}
	if _, err := User(t.Context(), "vmware", Env{}); err == nil || !strings.Contains(err.Error(), "not a guest of VMware") {
		t.Error(err)
	}
}

func TestVMwareURL(t *testing.T) {
	env := guestinfo(map[string]string{"coreos.config.url": "http://example.com/c.ign"})
	env.Get = getter(t, &service{rules: []rule{{request: "GET example.com/c.ign", body: ign}}})
	got, err := User(t.Context(), "vmware", env)
	if err != nil || string(got.Data) != ign {
		t.Errorf("%+v %v", got, err)
	}
}

func TestVMwareForgets(t *testing.T) {
	keys := map[string]string{vmwareData: "secret", vmwareOVF: ovf}
	if err := Forget(t.Context(), "vmware", guestinfo(keys)); err != nil {
		t.Fatal(err)
	}
	left, err := OVFProperties([]byte(keys[vmwareOVF]))
	if diff := cmp.Diff(map[string]string{"guestinfo.hostname": "web & co"}, left); diff != "" || err != nil {
		t.Error(diff, err)
	}
	got, err := User(t.Context(), "vmware", guestinfo(keys))
	if err != nil || strings.TrimSpace(string(got.Data)) != "{}" {
		t.Errorf("%q %v", got.Data, err)
	}
	if err := Forget(t.Context(), "metal", Env{}); err != nil {
		t.Error(err)
	}
}

func TestPacketHearsOfStages(t *testing.T) {
	var posts []string
	env := Env{Cloud: Cloud{
		Get: getter(t, &service{rules: []rule{{request: "GET metadata.packet.net/metadata", body: `{"phone_home_url":"http://tinkerbell.ny5/phone-home"}`}}}),
		Post: func(_ context.Context, url string, body []byte) error {
			posts = append(posts, url+" "+string(body))
			return nil
		},
	}}
	for _, failure := range []error{nil, errors.New("no disk")} {
		if err := Tell(t.Context(), "packet", env, "disks", failure); err != nil {
			t.Fatal(err)
		}
	}
	if err := Tell(t.Context(), "aws", env, "disks", nil); err != nil {
		t.Error(err)
	}
	want := []string{
		`http://tinkerbell.ny5/events {"state":"running","message":"[disks] Ignition status: finished successfully"}`,
		`http://tinkerbell.ny5/events {"state":"failed","message":"[disks] Ignition error: no disk"}`,
	}
	if diff := cmp.Diff(want, posts); diff != "" {
		t.Error(diff)
	}
}

func FuzzOVF(f *testing.F) {
	f.Add([]byte(ovf))
	f.Add([]byte("<Property key='guestinfo.ignition.config.data'/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pruned, changed, err := pruneOVF(data, ovfPrefix+vmwareData)
		if err != nil || !changed {
			return
		}
		left, err := OVFProperties(pruned)
		if err == nil && left[ovfPrefix+vmwareData] != "" {
			t.Errorf("%q keeps the config", pruned)
		}
	})
}

// decodePool reads a pool file.
func decodePool(data []byte) ([]Pair, error) {
	const record = kvpKey + kvpValue
	if len(data)%record != 0 {
		return nil, fmt.Errorf("the pool file has %d bytes, which is no number of records of %d", len(data), record)
	}
	var pairs []Pair
	for ; len(data) > 0; data = data[record:] {
		pairs = append(pairs, Pair{untilNUL(data[:kvpKey]), untilNUL(data[kvpKey:record])})
	}
	return pairs, nil
}

func untilNUL(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

func FuzzPool(f *testing.F) {
	f.Add(EncodePool([]Pair{{"ignition.config", ign}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		pairs, err := decodePool(data)
		if err != nil {
			return
		}
		again, err := decodePool(EncodePool(pairs))
		if err != nil || len(again) != len(pairs) {
			t.Errorf("%v %v", again, err)
		}
	})
}
