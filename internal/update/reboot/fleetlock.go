//go:build linux

package reboot

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
	ID     string // of the machine, as in /etc/machine-id; the server hears one derived of it
	Group  string // "" is "default"
	Client *http.Client
}

var groupForm = regexp.MustCompile(`^[a-zA-Z0-9.-]+$`)

// Lock asks for leave to reboot; any error means to ask again later.
func (f FleetLock) Lock(ctx context.Context) error { return f.post(ctx, "/v1/pre-reboot") }

// Unlock tells that the machine is back.
func (f FleetLock) Unlock(ctx context.Context) error { return f.post(ctx, "/v1/steady-state") }

// fleetApp is Zincati's application id, by which servers such as poseidon's
// know the node that a machine is:
// https://github.com/coreos/zincati/blob/main/src/identity/mod.rs
var fleetApp = [16]byte{0xde, 0x35, 0x10, 0x6b, 0x6e, 0xc2, 0x46, 0x88, 0xb6, 0x3a, 0xfd, 0xda, 0xa1, 0x56, 0x67, 0x9b}

// fleetID derives what a server hears as sd_id128_get_machine_app_specific(3)
// does: machine ids are not to leave the machine.
func fleetID(machineID string) (string, error) {
	key, err := hex.DecodeString(machineID)
	if err != nil || len(key) != 16 {
		return "", fmt.Errorf("asking the lock server: the machine's id %q is not 32 hexadecimal digits", machineID)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(fleetApp[:])
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a UUID of version 4
	return hex.EncodeToString(id), nil
}

func (f FleetLock) post(ctx context.Context, path string) error {
	group := f.Group
	if group == "" {
		group = "default"
	}
	if !groupForm.MatchString(group) {
		return fmt.Errorf("asking the lock server: the group %q has other characters than letters, digits, dots and dashes", group)
	}
	id, err := fleetID(f.ID)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"client_params": map[string]string{"id": id, "group": group}})
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
