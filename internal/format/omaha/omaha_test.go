package omaha

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func app() App {
	return App{ID: AppID, Version: "1.2.3", Track: "stable", BootID: "{01234567-89ab-cdef-0123-456789abcdef}", OEM: "qemu", OEMVersion: "1",
		AlephVersion: "1.0.0", MachineID: "0123456789abcdef0123456789abcdef", MachineAlias: "", Lang: "en-US", Board: "amd64-usr", DeltaOkay: "false"}
}

func request(source string) Request {
	return Request{Protocol: Protocol, Version: "update_engine-0.4.10", UpdaterVersion: "update_engine-0.4.10", InstallSource: source, IsMachine: "1",
		OS: OS{Version: "Chateau", Platform: "CoreOS", SP: "1.2.3_x86_64"}, Apps: []App{app()}}
}

func offer() Response {
	return Response{Protocol: Protocol, Server: "wellcar", DayStart: DayStart{"0"}, Apps: []AppResponse{{ID: AppID, Status: OK, Ping: &Status{OK}, Events: []Status{{OK}},
		UpdateCheck: &UpdateVerdict{Status: OK, URLs: &URLs{[]URL{{"http://10.0.2.2:8080/"}}}, Manifests: []Manifest{{Version: "1.2.4",
			Packages: []Package{{Name: "update.wcu", Hash: "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Size: 170, IsRequired: "true"}},
			Actions:  []Action{{Event: Postinstall, DisplayVersion: "1.2.4", SHA256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", DisablePayloadBackoff: "true"}}}}}}}}
}

// TestGolden holds the bytes on the wire: what is written, and that reading it
// gives the same value.
func TestGolden(t *testing.T) {
	check := request(Scheduler)
	check.Apps[0].Ping, check.Apps[0].UpdateCheck = &Ping{"1"}, &UpdateCheck{}
	check.Apps[0].Events = []Event{Rebooted("0.0.0.0")}
	event := request(OnDemand)
	event.Apps[0].Events = []Event{NewEvent(DownloadStarted, ResultSuccess, 0)}
	failed := request(Scheduler)
	failed.Apps[0].Events = []Event{NewEvent(UpdateComplete, ResultError, CodeRollback|FlagOwnServer)}
	ping := request(Scheduler)
	ping.Apps[0].Ping = &Ping{"1"}
	none := offer()
	none.Apps[0].UpdateCheck = &UpdateVerdict{Status: NoUpdate, PollInterval: "3600"}
	for name, doc := range map[string]interface{ Encode() ([]byte, error) }{
		"check": check, "event": event, "rollback": failed, "ping": ping, "offer": offer(), "noupdate": none,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := doc.Encode()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".xml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			again, err := reencode(doc, got)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("read and written again: %s, %v", again, err)
			}
		})
	}
}

func reencode(doc any, data []byte) ([]byte, error) {
	if _, ok := doc.(Request); ok {
		r, err := DecodeRequest(data)
		if err != nil {
			return nil, err
		}
		return r.Encode()
	}
	r, err := DecodeResponse(data)
	if err != nil {
		return nil, err
	}
	return r.Encode()
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `<request protocol="3.0">`, "old": `<request protocol="2.0"></request>`, "trailer": `<request protocol="3.0"></request><x/>`,
		"number": `<request protocol="3.0"><app><event eventtype="x"/></app></request>`, "other": `<response protocol="3.0"></response>`,
		"encoding": `<?xml version="1.0" encoding="utf-16"?><request protocol="3.0"></request>`,
	} {
		if r, err := DecodeRequest([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, r)
		}
	}
	if _, err := DecodeResponse([]byte(`<?xml version="1.0"?>`)); err == nil {
		t.Error("a prolog without a response was accepted")
	}
}

func TestDecodeOtherServer(t *testing.T) {
	// As Nebraska writes it: self-closing is never used, the order differs.
	const text = `<?xml version="1.0" encoding="UTF-8"?>
<response protocol="3.0" server="nebraska"><daystart elapsed_seconds="0"></daystart><app appid="{e96281a6-d1af-4bde-9a0a-97b76e56dc57}" status="ok"><ping status="ok"></ping><updatecheck status="ok"><urls><url codebase="https://h/p"></url></urls><manifest version="9.0.0"><packages><package name="a" hash="x" size="5" required="true"></package><package name="b.gz" hash="y" hash_sha256="z" size="6" required="false"></package></packages><actions><action event="postinstall" sha256="q" DisablePayloadBackoff="true"></action></actions></manifest></updatecheck><event status="ok"></event></app></response>`
	r, err := DecodeResponse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := r.App(AppID)
	if !ok || len(a.UpdateCheck.Manifests) != 1 || len(a.UpdateCheck.Manifests[0].Packages) != 2 {
		t.Fatalf("%+v", r)
	}
	if _, ok := r.App("E96281A6-D1AF-4BDE-9A0A-97B76E56DC57"); !ok {
		t.Error("the application is not found without braces")
	}
	action, ok := a.UpdateCheck.Manifests[0].Action(Postinstall)
	if !ok || action.SHA256 != "q" || Join(a.UpdateCheck.URLs.URL[0].CodeBase, "a") != "https://h/p/a" {
		t.Errorf("%+v", action)
	}
	if _, ok := r.App("{00000000-0000-0000-0000-000000000000}"); ok {
		t.Error("another application's answer was taken")
	}
}

func TestDigest(t *testing.T) {
	raw := bytes.Repeat([]byte{0xab}, 32)
	for _, text := range []string{base64.StdEncoding.EncodeToString(raw), "abababababababababababababababababababababababababababababababab", " ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB\n"} {
		if got, err := Digest(text, 32); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "abab", "zzz", base64.StdEncoding.EncodeToString(raw[:20])} {
		if _, err := Digest(text, 32); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[Code]string{5 | FlagOwnServer: "postinstall", 2404: "HTTP status 404", 77: "code 77", CodeRollback: "went back to the old version"} {
		if got := code.String(); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
	if 5|FlagOwnServer != 268435461 {
		t.Error("the flag for an own server moved")
	}
}

func FuzzDecodeRequest(f *testing.F) {
	fuzz(f, func(b []byte) (any, error) { return DecodeRequest(b) })
}
func FuzzDecodeResponse(f *testing.F) {
	fuzz(f, func(b []byte) (any, error) { return DecodeResponse(b) })
}

// fuzz: what can be read can be written, and comes out the same from then on.
func fuzz(f *testing.F, read func([]byte) (any, error)) {
	seeds, _ := filepath.Glob("testdata/*.xml")
	for _, s := range seeds {
		data, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := read(data)
		if err != nil {
			return
		}
		once, err := doc.(interface{ Encode() ([]byte, error) }).Encode()
		if err != nil {
			t.Fatal(err)
		}
		twice, err := reencode(doc, once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s\nbecame %s, %v", once, twice, err)
		}
	})
}
