package provision

import (
	"context"
	"encoding/json"
	"time"

	"wellcar.dev/internal/sys/rootfs"
)

// Where services look for what became of provisioning.
const resultFile = "/etc/.ignition-result.json"

// WriteResult writes /etc/.ignition-result.json, keeping the earlier one
// within it.
type WriteResult struct {
	Provided bool `json:"provided"`
}

// Kind implements Action.
func (*WriteResult) Kind() string { return "writeResult" }

// Summary implements Action.
func (*WriteResult) Summary() Summary {
	return Summary{"write", "wrote", "result", resultFile, "0600 root:root"}
}

type resultJSON struct {
	BootID   string          `json:"provisioningBootID"`
	Date     string          `json:"provisioningDate"`
	Provided bool            `json:"userConfigProvided"`
	Previous json.RawMessage `json:"previousReport,omitempty"`
}

func (a *WriteResult) do(_ context.Context, m *machine) (Outcome, error) {
	r := resultJSON{BootID: m.BootID, Date: m.Now().UTC().Format(time.RFC3339), Provided: a.Provided}
	if old, err := m.Files.ReadFile(resultFile); err == nil && json.Valid(old) {
		r.Previous = old
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return Failed, err
	}
	return Done, m.write(resultFile, append(data, '\n'), rootfs.Meta{Perm: 0o600})
}
