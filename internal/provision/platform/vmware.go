package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
)

// vmware reads the guestinfo of the virtual machine: keys of its own, else
// the properties of the OVF environment. The names of the time before
// Ignition come last.
type vmware struct{}

const (
	vmwareData     = "ignition.config.data"
	vmwareEncoding = "ignition.config.data.encoding"
	vmwareOVF      = "ovfenv"
	ovfPrefix      = "guestinfo."

	forgotten         = "e30K" // {} in base64
	forgottenEncoding = "base64"
)

// Fetch implements Source.
func (vmware) Fetch(ctx context.Context, env Env) (Found, error) {
	if env.Guestinfo == nil {
		return Found{}, missing("guestinfo: it is not a guest of VMware")
	}
	properties := ovfProperties(env)
	read := func(key string) (string, error) {
		value, err := env.Guestinfo(key)
		if err != nil {
			return "", fmt.Errorf("reading guestinfo.%s: %w", key, err)
		}
		if value == "" {
			value = properties[ovfPrefix+key]
		}
		return value, nil
	}
	for _, prefix := range []string{"ignition", "coreos"} {
		key := prefix + ".config.data"
		data, err := read(key)
		if err != nil {
			return Found{}, err
		}
		if data == "" {
			continue
		}
		encoding, err := read(key + ".encoding")
		if err != nil {
			return Found{}, err
		}
		decoded, err := unwrap(data, encoding)
		return Found{Name: ovfPrefix + key, Data: decoded}, err
	}
	return vmwareURL(ctx, env, read)
}

// vmwareURL is for a machine that knows only where its config is.
func vmwareURL(ctx context.Context, env Env, read func(string) (string, error)) (Found, error) {
	for _, prefix := range []string{"ignition", "coreos"} {
		url, err := read(prefix + ".config.url")
		if err != nil {
			return Found{}, err
		}
		if url != "" {
			return web{url: url, strict: true}.Fetch(ctx, env)
		}
	}
	return Found{Name: ovfPrefix + vmwareData}, nil
}

// ovfProperties are those of the environment; one that cannot be read has
// none, as the keys of guestinfo count more.
func ovfProperties(env Env) map[string]string {
	text, err := env.Guestinfo(vmwareOVF)
	if err != nil || text == "" {
		return nil
	}
	properties, err := OVFProperties([]byte(text))
	if err != nil {
		return nil
	}
	return properties
}

// unwrap undoes an encoding of guestinfo.
func unwrap(data, encoding string) ([]byte, error) {
	outer := encoding
	packing, inner, both := strings.Cut(encoding, "+")
	if both {
		outer = inner
	}
	out := []byte(data)
	switch {
	case outer == "base64" || outer == "b64":
		decoded, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("the config is not base64, as its encoding %s says: %w", encoding, err)
		}
		out = decoded
	case both || outer != "" && outer != "gzip" && outer != "gz":
		return nil, fmt.Errorf("the encoding %q is not known; known are base64, gzip and gzip+base64", encoding)
	}
	switch {
	case packing == "gzip" || packing == "gz":
		return unzip(out)
	case both:
		return nil, fmt.Errorf("the encoding %q is not known; known are base64, gzip and gzip+base64", encoding)
	}
	return out, nil
}

// Forget implements Forgetter. A key cannot be deleted, so that an empty
// config takes its place.
func (vmware) Forget(_ context.Context, env Env) error {
	if env.Guestinfo == nil || env.SetGuestinfo == nil {
		return missing("guestinfo: it is not a guest of VMware")
	}
	for _, change := range [][2]string{{vmwareData, forgotten}, {vmwareEncoding, forgottenEncoding}} {
		old, err := env.Guestinfo(change[0])
		if err != nil {
			return fmt.Errorf("reading guestinfo.%s: %w", change[0], err)
		}
		if old == "" && change[0] == vmwareData {
			break // there is no config to hide
		}
		if old == change[1] {
			continue
		}
		if err := env.SetGuestinfo(change[0], change[1]); err != nil {
			return fmt.Errorf("replacing guestinfo.%s: %w", change[0], err)
		}
	}
	return forgetOVF(env)
}

func forgetOVF(env Env) error {
	text, err := env.Guestinfo(vmwareOVF)
	if err != nil || text == "" {
		return err
	}
	pruned, changed, err := pruneOVF([]byte(text), ovfPrefix+vmwareData, ovfPrefix+vmwareEncoding)
	if err != nil || !changed {
		return err
	}
	if err := env.SetGuestinfo(vmwareOVF, string(pruned)); err != nil {
		return fmt.Errorf("replacing the OVF environment: %w", err)
	}
	return nil
}
