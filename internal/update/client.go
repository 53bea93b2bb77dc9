//go:build linux

package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"wellcar.dev/internal/format/omaha"
)

// clientName is what the client calls itself in requests. Servers read the
// form, not the number.
const clientName = "update_engine-0.4.10"

// Identity is what a machine says of itself in a request.
type Identity struct {
	AppID, Version, Group, Board, Alias string
	OEM, OEMVersion                     string
	Aleph, MachineID, BootID, Machine   string
}

// ReadIdentity collects it below a root.
func ReadIdentity(root string, s Settings, prefs Prefs, machine string) Identity {
	id := Identity{
		AppID: s.or("FLATCAR_RELEASE_APPID", omaha.AppID), Version: s.Get("FLATCAR_RELEASE_VERSION"), Group: s.Group(),
		Board: s.or("FLATCAR_RELEASE_BOARD", "amd64-usr"), Alias: s.Get("MACHINE_ALIAS"), Machine: machine,
		MachineID: readWord(root, "etc/machine-id"), BootID: "{" + readWord(root, "proc/sys/kernel/random/boot_id") + "}",
	}
	for _, name := range []string{"etc/oem-release", "oem/oem-release"} {
		if data, err := os.ReadFile(filepath.Join(root, name)); err == nil && id.OEM == "" {
			values := ParseSettings(string(data))
			id.OEM, id.OEMVersion = values["ID"], values["VERSION_ID"]
		}
	}
	aleph, ok := prefs.Get(PrefAleph)
	if !ok {
		aleph = id.Version
		prefs.Set(PrefAleph, aleph) // told again by the next check if it is not kept
	}
	id.Aleph = aleph
	return id
}

func readWord(root, name string) string {
	data, _ := os.ReadFile(filepath.Join(root, name))
	return strings.TrimSpace(string(data))
}

// Request is a request of the machine, without anything asked or told.
func (id Identity) Request(source string) omaha.Request {
	return omaha.Request{
		Protocol: omaha.Protocol, Version: clientName, UpdaterVersion: clientName, InstallSource: source, IsMachine: "1",
		OS: omaha.OS{Version: "Chateau", Platform: "CoreOS", SP: id.Version + "_" + id.Machine},
		Apps: []omaha.App{{ID: id.AppID, Version: id.Version, Track: id.Group, BootID: id.BootID, OEM: id.OEM, OEMVersion: id.OEMVersion,
			AlephVersion: id.Aleph, MachineID: id.MachineID, MachineAlias: id.Alias, Lang: "en-US", Board: id.Board, DeltaOkay: "false"}},
	}
}

// CheckRequest asks for an update and tells what became of the last.
func (id Identity) CheckRequest(source string, last omaha.Event) omaha.Request {
	r := id.Request(source)
	a := &r.Apps[0]
	a.Ping, a.UpdateCheck, a.Events = &omaha.Ping{Active: "1"}, &omaha.UpdateCheck{}, []omaha.Event{last}
	return r
}

// PingRequest only says that the machine is there.
func (id Identity) PingRequest() omaha.Request {
	r := id.Request(omaha.Scheduler)
	r.Apps[0].Ping = &omaha.Ping{Active: "1"}
	return r
}

// EventRequest tells one event.
func (id Identity) EventRequest(source string, e omaha.Event) omaha.Request {
	r := id.Request(source)
	r.Apps[0].Events = []omaha.Event{e}
	return r
}

// LastEvent is the event of a check, and whether it tells that the machine
// came back on its old version (updates.md 1.6). ok is false if the pref is
// missing.
func LastEvent(running, previous string, ok, ownServer bool) (e omaha.Event, wentBack bool) {
	switch {
	case !ok:
		return omaha.Rebooted("0.0.0.0"), false
	case previous != "" && previous == running:
		code := omaha.CodeRollback
		if ownServer {
			code |= omaha.FlagOwnServer
		}
		return omaha.NewEvent(omaha.UpdateComplete, omaha.ResultError, code), true
	}
	return omaha.Rebooted(previous), false
}

// Answer is what a server said.
type Answer struct {
	Response omaha.Response
	Raw      []byte
	Status   int // of HTTP; 0: none came
}

// Ask posts a request.
func Ask(ctx context.Context, client *http.Client, server string, r omaha.Request) (Answer, error) {
	body, err := r.Encode()
	if err != nil {
		return Answer{}, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, server, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fail(omaha.CodeRequest, "asking for updates: %w", err)
	}
	post.Header.Set("Content-Type", "text/xml")
	resp, err := client.Do(post)
	if err != nil {
		return Answer{}, fail(omaha.CodeRequest, "asking for updates: %w", reason(ctx, err))
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode}
	if resp.StatusCode != http.StatusOK {
		return a, fail(omaha.CodeHTTPBase+omaha.Code(resp.StatusCode), "asking %s for updates: HTTP status %s", server, resp.Status)
	}
	a.Raw, err = readAll(resp.Body, omaha.MaxResponse)
	if err != nil {
		return a, fail(omaha.CodeRequest, "asking %s for updates: %w", server, reason(ctx, err))
	}
	if len(bytes.TrimSpace(a.Raw)) == 0 {
		return a, fail(omaha.CodeEmptyResponse, "asking %s for updates: the answer is empty", server)
	}
	if a.Response, err = omaha.DecodeResponse(a.Raw); err != nil {
		return a, fail(omaha.CodeXMLParse, "asking %s for updates: %w", server, err)
	}
	return a, nil
}

// reason is why a context ended, if that was the error.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return err
}

var errTooMuch = errors.New("more came than allowed")

// readAll reads to the end; more than limit bytes are an error.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: %d bytes", errTooMuch, limit)
	}
	return data, err
}
