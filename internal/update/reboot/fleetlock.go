//go:build linux

package reboot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// FleetLock is a lock server that speaks the protocol of that name.
type FleetLock struct {
	URL    string // base
	ID     string
	Group  string // "" is "default"
	Client *http.Client
}

var groupForm = regexp.MustCompile(`^[a-zA-Z0-9.-]+$`)

// Lock asks for leave to reboot; any error means to ask again later.
func (f FleetLock) Lock(ctx context.Context) error { return f.post(ctx, "/v1/pre-reboot") }

// Unlock tells that the machine is back.
func (f FleetLock) Unlock(ctx context.Context) error { return f.post(ctx, "/v1/steady-state") }

func (f FleetLock) post(ctx context.Context, path string) error {
	group := f.Group
	if group == "" {
		group = "default"
	}
	if !groupForm.MatchString(group) {
		return fmt.Errorf("asking the lock server: the group %q has other characters than letters, digits, dots and dashes", group)
	}
	body, err := json.Marshal(map[string]any{"client_params": map[string]string{"id": f.ID, "group": group}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(f.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking the lock server: %w", err)
	}
	req.Header.Set("fleet-lock-protocol", "true")
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.Client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the lock server: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("asking the lock server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the lock server: HTTP status %s: %s", resp.Status, message(data))
	}
	return nil
}
