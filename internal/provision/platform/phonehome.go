package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Tell says to the cloud what became of a stage, on the platforms that want
// to know it: packet. The machine must not fail when it cannot.
func Tell(ctx context.Context, id string, env Env, stage string, failure error) error {
	if id != "packet" || env.Post == nil || env.Offline {
		return nil
	}
	data, err := env.get(ctx, Call{URL: "https://metadata.packet.net/metadata"})
	if err != nil {
		return fmt.Errorf("asking where to report: %w", err)
	}
	var meta struct {
		PhoneHome string `json:"phone_home_url"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return fmt.Errorf("reading where to report: %w", err)
	}
	if meta.PhoneHome == "" {
		return nil
	}
	event := struct {
		State   string `json:"state"`
		Message string `json:"message"`
	}{"running", fmt.Sprintf("[%s] Ignition status: finished successfully", stage)}
	if failure != nil {
		event.State, event.Message = "failed", fmt.Sprintf("[%s] Ignition error: %v", stage, failure)
	}
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return env.Post(ctx, strings.Replace(meta.PhoneHome, "/phone-home", "/events", 1), body)
}

// Forgetter is a source whose config can be made unreadable once it was used.
type Forgetter interface {
	Forget(ctx context.Context, env Env) error
}

// Forget makes the config of a platform unreadable: on virtualbox and vmware,
// where any program of the machine could read it.
func Forget(ctx context.Context, id string, env Env) error {
	f, ok := sources[id].(Forgetter)
	if !ok {
		return nil
	}
	if err := f.Forget(ctx, env); err != nil {
		return fmt.Errorf("deleting the config from platform %s: %w", id, err)
	}
	return nil
}
