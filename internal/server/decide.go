package server

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/slot"
)

// Release is what can be handed out.
type Release struct {
	Version string
	Board   string
	Package omaha.Package // Name, Size and digests of what the machine fetches first
	SHA256  string        // base64, of the same
	// Takeover is what the update_engine of other systems fetches. It goes
	// first, because they look at the first only; ours looks for the manifest.
	Takeover *omaha.Package
}

// packages are what a machine is offered, and the digest of the first (base64).
func (r Release) packages() ([]omaha.Package, string) {
	if r.Takeover == nil {
		return []omaha.Package{r.Package}, r.SHA256
	}
	second := r.Package
	second.IsRequired = "false"
	raw, _ := hex.DecodeString(r.Takeover.SHA256)
	return []omaha.Package{*r.Takeover, second}, base64.StdEncoding.EncodeToString(raw)
}

// NewRelease describes a release whose package has the given content.
func NewRelease(version, board, name string, content []byte) Release {
	short, long := sha1.Sum(content), sha256.Sum256(content)
	return Release{Version: version, Board: board, SHA256: base64.StdEncoding.EncodeToString(long[:]),
		Package: omaha.Package{Name: name, Hash: base64.StdEncoding.EncodeToString(short[:]), SHA256: hex.EncodeToString(long[:]), Size: int64(len(content)), IsRequired: "true"}}
}

// Verdict is what a machine is told, and why.
type Verdict struct {
	AppStatus string // "" is ok
	Check     string // status of the update check
	Why       string
}

// Decide says whether a machine gets the release.
func Decide(app omaha.App, r Release) Verdict {
	switch {
	case !omaha.SameApp(app.ID, omaha.AppID):
		return Verdict{omaha.UnknownApp, omaha.Internal, "the application is another"}
	case app.Board != r.Board:
		return Verdict{"", omaha.NoUpdate, fmt.Sprintf("the release is for %s", r.Board)}
	case app.Version != "0.0.0" && slot.Compare(r.Version, app.Version) <= 0:
		return Verdict{"", omaha.NoUpdate, fmt.Sprintf("%s is not above it", r.Version)}
	}
	return Verdict{"", omaha.OK, fmt.Sprintf("offered %s", r.Version)}
}

// Name is what the server calls itself.
const Name = "wellcar"

// Answer answers a request: each application its ping, events and check.
func Answer(req omaha.Request, r Release, codebase string) (omaha.Response, []Verdict) {
	resp := omaha.Response{Protocol: omaha.Protocol, Server: Name, DayStart: omaha.DayStart{ElapsedSeconds: "0"}}
	var verdicts []Verdict
	for _, app := range req.Apps {
		v := Decide(app, r)
		verdicts = append(verdicts, v)
		resp.Apps = append(resp.Apps, answerApp(app, r, v, codebase))
	}
	return resp, verdicts
}

func answerApp(app omaha.App, r Release, v Verdict, codebase string) omaha.AppResponse {
	a := omaha.AppResponse{ID: app.ID, Status: omaha.OK}
	if v.AppStatus != "" {
		a.Status = v.AppStatus
	}
	if app.Ping != nil {
		a.Ping = &omaha.Status{Status: omaha.OK}
	}
	for range app.Events {
		a.Events = append(a.Events, omaha.Status{Status: omaha.OK})
	}
	if app.UpdateCheck == nil {
		return a
	}
	a.UpdateCheck = &omaha.UpdateVerdict{Status: v.Check}
	if v.Check == omaha.OK {
		a.UpdateCheck.URLs = &omaha.URLs{URL: []omaha.URL{{CodeBase: codebase}}}
		packages, digest := r.packages()
		a.UpdateCheck.Manifests = []omaha.Manifest{{Version: r.Version, Packages: packages,
			Actions: []omaha.Action{{Event: omaha.Postinstall, DisplayVersion: r.Version, SHA256: digest, DisablePayloadBackoff: "true"}}}}
	}
	return a
}

// Describe says in one line what a machine told and got.
func Describe(app omaha.App, v Verdict) string {
	line := fmt.Sprintf("%s runs %s, follows %s", name(app), app.Version, app.Track)
	for _, e := range app.Events {
		line += "; " + describeEvent(e)
	}
	switch {
	case app.UpdateCheck != nil:
		line += "; asks: " + v.Why
	case app.Ping != nil:
		line += "; is there"
	}
	return line
}

func name(app omaha.App) string {
	if app.MachineAlias != "" {
		return app.MachineAlias
	}
	return app.MachineID
}

func describeEvent(e omaha.Event) string {
	var code omaha.Code
	if e.ErrorCode != nil {
		code = omaha.Code(*e.ErrorCode)
	}
	switch {
	case e.Type == omaha.DownloadStarted:
		return "downloads"
	case e.Type == omaha.DownloadFinished:
		return "has downloaded"
	case e.Type == omaha.UpdateComplete && e.Result == omaha.ResultSuccess:
		return "has installed it and waits for a reboot"
	case e.Type == omaha.UpdateComplete && e.Result == omaha.ResultSuccessRebooted:
		return describeRebooted(e)
	case e.Type == omaha.UpdateComplete && (e.Result == omaha.ResultDeferred || code.Plain() == omaha.CodeIgnoredByPolicy):
		return "holds it back: " + code.String()
	case e.Type == omaha.UpdateComplete && code.Plain() == omaha.CodeRollback:
		return code.String()
	case e.Type == omaha.UpdateComplete:
		return "failed: " + code.String()
	}
	return fmt.Sprintf("event %d with result %d", e.Type, e.Result)
}

func describeRebooted(e omaha.Event) string {
	if e.PreviousVersion == nil || *e.PreviousVersion == "" || *e.PreviousVersion == "0.0.0.0" {
		return "has no update behind it"
	}
	return "came from " + *e.PreviousVersion
}
