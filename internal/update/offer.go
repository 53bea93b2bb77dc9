//go:build linux

package update

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"wellcar.dev/internal/format/omaha"
	"wellcar.dev/internal/release"
)

// Offer is an update that a server has for the machine.
type Offer struct {
	Version   string
	CodeBases []string
	Package   omaha.Package
	SHA256    [32]byte // of the package

	DisableBackoff bool
	MaxFailures    int // of one address
}

// Signature tells offers apart, to count the attempts at each.
func (o Offer) Signature() string {
	sum := sha256.Sum256(fmt.Append(nil, o.CodeBases, o.Package.Size, o.Package.Name, o.SHA256, o.DisableBackoff))
	return hex.EncodeToString(sum[:])
}

// Failure is an error with the code that a server is told.
type Failure struct {
	Code omaha.Code
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// codeOf is the code of a Failure that an error has in it; 0: there is none.
func codeOf(err error) omaha.Code {
	var f *Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return 0
}

func fail(code omaha.Code, format string, args ...any) error {
	return &Failure{code, fmt.Errorf(format, args...)}
}

// ReadOffer takes an answer to a machine apart. offer is nil if there is no
// update.
func ReadOffer(r omaha.Response, id Identity) (offer *Offer, poll string, err error) {
	a, ok := r.App(id.AppID)
	if !ok || a.UpdateCheck == nil {
		return nil, "", fail(omaha.CodeInvalidResponse, "reading the answer of the server: it has none for the application %s", id.AppID)
	}
	check := a.UpdateCheck
	switch check.Status {
	case omaha.NoUpdate:
		return nil, check.PollInterval, nil
	case omaha.OK:
	default:
		return nil, check.PollInterval, fail(omaha.CodeInvalidResponse, "asking for updates as group %s: %s", id.Group, refusal(a))
	}
	o, err := readManifest(check)
	return o, check.PollInterval, err
}

// refusals say what Nebraska means by the status of an application.
var refusals = map[string]string{
	"error-failedToRetrieveUpdatePackageInfo": "the server does not know the group or the application",
	"error-maxConcurrentUpdatesLimitReached":  "as many machines update as the group allows at once",
	"error-maxTimedOutUpdatesLimitReached":    "too many machines of the group did not end their updates",
	"error-maxUpdatesPerPeriodLimitReached":   "as many machines were updated as the group allows for now",
	"error-noPackageFound":                    "the group has no channel with a package",
	"error-updateInProgressOnInstance":        "the server takes the machine for one that updates",
	"error-updatesDisabled":                   "updates of the group are disabled, or not made at this hour",
	omaha.UnknownApp:                          "the server does not know the application",
	"error-unknownApplicationOrGroup":         "the server does not know the group or the application",
}

// refusal says why a server neither offers an update nor says that there is
// none.
func refusal(a omaha.AppResponse) string {
	status := a.Status
	if status == omaha.OK || status == "" {
		status = a.UpdateCheck.Status
	}
	if words, ok := refusals[status]; ok {
		return fmt.Sprintf("%s (%s)", words, status)
	}
	return fmt.Sprintf("the server refuses (%s)", status)
}

func readManifest(check *omaha.UpdateVerdict) (*Offer, error) {
	bad := func(what string) (*Offer, error) {
		return nil, fail(omaha.CodeInvalidResponse, "reading the answer of the server: the offer has %s", what)
	}
	if check.URLs == nil || len(check.URLs.URL) == 0 {
		return bad("no address")
	}
	if len(check.Manifests) == 0 || len(check.Manifests[0].Packages) == 0 {
		return bad("no package")
	}
	m := check.Manifests[0]
	action, ok := m.Action(omaha.Postinstall)
	if !ok || action.SHA256 == "" {
		return bad("no digest of its package")
	}
	chosen, text := choosePackage(m, action)
	digest, err := omaha.Digest(text, 32)
	if err != nil {
		return bad("a digest that is none: " + err.Error())
	}
	o := &Offer{Version: m.Version, Package: chosen, SHA256: [32]byte(digest), DisableBackoff: action.DisablePayloadBackoff == "true", MaxFailures: maxURLFaults}
	if o.Package.Size <= 0 || o.Package.Name == "" {
		return bad(fmt.Sprintf("a package %q of %d bytes", o.Package.Name, o.Package.Size))
	}
	if n, err := strconv.Atoi(action.MaxFailureCountPerURL); err == nil && n > 0 {
		o.MaxFailures = n
	}
	for _, u := range check.URLs.URL {
		o.CodeBases = append(o.CodeBases, u.CodeBase)
	}
	return o, nil
}

// choosePackage takes the release's manifest where a server offers it behind a
// payload for other systems, else the first package, with its digest.
func choosePackage(m omaha.Manifest, action omaha.Action) (omaha.Package, string) {
	for _, p := range m.Packages[1:] {
		if p.Name == release.ManifestFile && p.SHA256 != "" {
			return p, p.SHA256
		}
	}
	return m.Packages[0], action.SHA256
}
