package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Clevis says what a volume is unlocked with at boot.
type Clevis struct {
	TPM2         bool   `json:"tpm2,omitempty"`
	Tang         []Tang `json:"tang,omitempty"`
	Threshold    int    `json:"threshold"` // so many of them are needed
	CustomPin    string `json:"customPin,omitempty"`
	CustomConfig string `json:"customConfig,omitempty"`
	Network      bool   `json:"network,omitempty"` // needed to unlock
}

// Tang is a server that gives back what it was bound to.
type Tang struct {
	URL           string `json:"url"`
	Thumbprint    string `json:"thumbprint,omitempty"`
	Advertisement string `json:"advertisement,omitempty"` // empty: fetched
}

// words is the binding in words; of none it is empty.
func (c *Clevis) words() string {
	if c == nil {
		return ""
	}
	var with []string
	if c.TPM2 {
		with = append(with, "the TPM")
	}
	for _, t := range c.Tang {
		with = append(with, "tang "+t.URL)
	}
	if c.CustomPin != "" {
		with = []string{"Clevis pin " + c.CustomPin}
	}
	words := "unlocked by " + strings.Join(with, ", ")
	if len(with) > 1 {
		words += fmt.Sprintf(" (%d of %d)", c.Threshold, len(with))
	}
	return words
}

// pin is the kind of binding and its configuration, as `clevis luks bind`
// takes them.
func (c *Clevis) pin() (pin, config string) {
	if c.CustomPin != "" {
		return c.CustomPin, c.CustomConfig
	}
	type tang struct {
		URL string `json:"url"`
		Thp string `json:"thp,omitempty"`
		Adv any    `json:"adv,omitempty"`
	}
	pins := map[string]any{}
	var servers []tang
	for _, t := range c.Tang {
		s := tang{URL: t.URL, Thp: t.Thumbprint}
		if t.Advertisement != "" {
			s.Adv = json.RawMessage(t.Advertisement)
		}
		servers = append(servers, s)
	}
	if len(servers) > 0 {
		pins["tang"] = servers
	}
	if c.TPM2 {
		pins["tpm2"] = struct{}{}
	}
	data, err := json.Marshal(map[string]any{"pins": pins, "t": c.Threshold})
	if err != nil {
		return "sss", "{}" // an advertisement that is no JSON, which clevis reports
	}
	return "sss", string(data)
}

// reach waits for the servers whose advertisement is not known, with the
// patience that all fetching has. Clevis itself tries but once.
func (c *Clevis) reach(ctx context.Context, f Fetcher) error {
	for _, t := range c.Tang {
		if t.Advertisement != "" {
			continue
		}
		if err := fetch(ctx, f, Request{URL: strings.TrimRight(t.URL, "/") + "/adv"}, io.Discard); err != nil {
			return fmt.Errorf("asking the Tang server for its keys: %w", err)
		}
	}
	return nil
}

// provable tells whether enough of the servers and the TPM are there now to
// unlock the volume. A server with an advertisement may be out of reach.
func (c *Clevis) provable() bool {
	if c.CustomPin != "" {
		return !c.Network
	}
	n := 0
	for _, t := range c.Tang {
		if t.Advertisement == "" {
			n++
		}
	}
	if c.TPM2 {
		n++
	}
	return n >= c.Threshold
}
