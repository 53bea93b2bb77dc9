package omaha

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Request is what a machine asks and tells.
type Request struct {
	XMLName        xml.Name `xml:"request"`
	Protocol       string   `xml:"protocol,attr"`
	Version        string   `xml:"version,attr"`        // of the client: update_engine-0.4.10
	UpdaterVersion string   `xml:"updaterversion,attr"` // the same
	InstallSource  string   `xml:"installsource,attr"`
	IsMachine      string   `xml:"ismachine,attr"`
	RequestID      string   `xml:"requestid,attr,omitempty"`
	SessionID      string   `xml:"sessionid,attr,omitempty"`
	UserID         string   `xml:"userid,attr,omitempty"`
	TestSource     string   `xml:"testsource,attr,omitempty"`
	OS             OS       `xml:"os"`
	Apps           []App    `xml:"app"`
}

// OS is what the client calls its platform.
type OS struct {
	Version  string `xml:"version,attr"`  // Chateau
	Platform string `xml:"platform,attr"` // CoreOS
	SP       string `xml:"sp,attr"`       // VERSION_MACHINE
	Arch     string `xml:"arch,attr,omitempty"`
}

// App is an application of the machine: the system.
type App struct {
	ID              string `xml:"appid,attr"`
	Version         string `xml:"version,attr"`
	Track           string `xml:"track,attr"`  // the group
	BootID          string `xml:"bootid,attr"` // in braces
	OEM             string `xml:"oem,attr"`
	OEMVersion      string `xml:"oemversion,attr"`
	AlephVersion    string `xml:"alephversion,attr"` // the first version of the machine
	MachineID       string `xml:"machineid,attr"`
	MachineAlias    string `xml:"machinealias,attr"`
	Lang            string `xml:"lang,attr"`
	Board           string `xml:"board,attr"`
	HardwareClass   string `xml:"hardware_class,attr"`
	DeltaOkay       string `xml:"delta_okay,attr"`
	MultiManifestOK string `xml:"multi_manifest_ok,attr,omitempty"` // mirroring servers only
	FromTrack       string `xml:"from_track,attr,omitempty"`
	NextVersion     string `xml:"nextversion,attr,omitempty"`
	InstallAge      string `xml:"installage,attr,omitempty"`

	Ping        *Ping        `xml:"ping"`
	UpdateCheck *UpdateCheck `xml:"updatecheck"`
	Events      []Event      `xml:"event"`
}

// Ping says that the machine is in use.
type Ping struct {
	Active string `xml:"active,attr"`
}

// UpdateCheck asks for an update.
type UpdateCheck struct {
	TargetVersionPrefix string `xml:"targetversionprefix,attr,omitempty"`
}

// Event tells what became of an update. ErrorCode and PreviousVersion are
// pointers because an empty attribute is not the same as none.
type Event struct {
	Type            EventType   `xml:"eventtype,attr"`
	Result          EventResult `xml:"eventresult,attr"`
	ErrorCode       *int64      `xml:"errorcode,attr"`
	PreviousVersion *string     `xml:"previousversion,attr"`
}

// Encode returns the body of the POST.
func (r Request) Encode() ([]byte, error) { return encode("request", r) }

// DecodeRequest reads the body of a POST.
func DecodeRequest(data []byte) (Request, error) {
	var r Request
	if err := decode("request", data, &r); err != nil {
		return Request{}, err
	}
	if r.Protocol != Protocol {
		return Request{}, fmt.Errorf("reading the Omaha request: protocol %q is not %s", r.Protocol, Protocol)
	}
	return r, nil
}

// SameApp compares ids with and without braces, in either case.
func SameApp(a, b string) bool {
	return strings.EqualFold(strings.Trim(a, "{}"), strings.Trim(b, "{}"))
}
