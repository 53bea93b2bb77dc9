package omaha

// EventType is the kind of an Event.
type EventType int

// The types that machines of this family send.
const (
	UpdateComplete   EventType = 3
	DownloadStarted  EventType = 13
	DownloadFinished EventType = 14
)

// EventResult says how it went.
type EventResult int

// The results that machines of this family send.
const (
	ResultError           EventResult = 0
	ResultSuccess         EventResult = 1
	ResultSuccessRebooted EventResult = 2 // the machine now runs it
	ResultDeferred        EventResult = 9
)

// Code is the errorcode of an event.
type Code int64

// The codes that this client sends; the numbers are those of Flatcar's client.
const (
	CodeRequest         Code = 2 // asking the server
	CodeResponseHandler Code = 3
	CodePostinstall     Code = 5
	CodeInstallDevice   Code = 7
	CodeKernelDevice    Code = 8
	CodeDownload        Code = 9
	CodePayloadHash     Code = 10
	CodePayloadSize     Code = 11
	CodePayloadVerify   Code = 12
	CodeWrite           Code = 14 // of the payload
	CodeNewRootfs       Code = 15
	CodeNewKernel       Code = 16
	CodeSignature       Code = 18
	CodeEmptyResponse   Code = 30
	CodeXMLParse        Code = 31
	CodeInvalidResponse Code = 34
	CodeIgnoredByPolicy Code = 35
	CodeDeferredPolicy  Code = 36
	CodeHTTPError       Code = 37
	CodeDeferredBackoff Code = 40
	CodeRollback        Code = 44

	CodeHTTPBase  Code = 2000    // plus the HTTP status
	FlagOwnServer Code = 1 << 28 // the server is not the public one
	flags         Code = 15 << 28
)

// Plain is the code without the flags in its top bits.
func (c Code) Plain() Code { return c &^ flags }

// codeWords say codes to a person.
var codeWords = map[Code]string{
	0: "success", 1: "error", CodeRequest: "asking the server", CodeResponseHandler: "handling the answer", 4: "copying the file system",
	CodePostinstall: "postinstall", CodeInstallDevice: "opening the slot", CodeKernelDevice: "opening the kernel's place",
	CodeDownload: "download", CodePayloadHash: "hash of the payload", CodePayloadSize: "size of the payload", CodePayloadVerify: "verifying the payload",
	13: "new partition's description", 14: "writing", CodeNewRootfs: "verifying the new system", CodeNewKernel: "verifying the new kernel",
	17: "a signed payload is expected", CodeSignature: "the key does not fit", 19: "started from slot B", 21: "not a payload",
	CodeEmptyResponse: "empty answer", CodeXMLParse: "unreadable answer", CodeInvalidResponse: "invalid answer",
	CodeIgnoredByPolicy: "ignored by policy", CodeDeferredPolicy: "deferred by policy", CodeHTTPError: "HTTP error", CodeDeferredBackoff: "deferred after failures",
	CodeRollback: "went back to the old version",
}

// String says the code in words.
func (c Code) String() string {
	p := c.Plain()
	if w, ok := codeWords[p]; ok {
		return w
	}
	if p > CodeHTTPBase && p < CodeHTTPBase+1000 {
		return "HTTP status " + itoa(int64(p-CodeHTTPBase))
	}
	return "code " + itoa(int64(p))
}

// NewEvent is an event with an error code if the result calls for one.
func NewEvent(t EventType, r EventResult, c Code) Event {
	e := Event{Type: t, Result: r}
	if r != ResultSuccess && r != ResultSuccessRebooted {
		n := int64(c)
		e.ErrorCode = &n
	}
	return e
}

// Rebooted is the event of a check: what ran before the last reboot into an
// update, "" if no update was installed since the last check, or "0.0.0.0" for
// a machine that never had one.
func Rebooted(previous string) Event {
	return Event{Type: UpdateComplete, Result: ResultSuccessRebooted, PreviousVersion: &previous}
}
