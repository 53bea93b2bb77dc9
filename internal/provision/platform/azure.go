package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"wellcar.dev/internal/provision"
)

// azure asks the metadata service for user data; where that is empty, it
// reads the custom data of the provisioning disc.
type azure struct{}

// Fetch implements Source.
func (azure) Fetch(ctx context.Context, env Env) (Found, error) {
	const url = link + "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"
	data, err := env.get(ctx, Call{URL: url, Headers: header("Metadata", "true"), Retry: []int{404, 410, 429}})
	if err != nil {
		return Found{}, err
	}
	if len(data) == 0 {
		return disc(ctx, env, "udf")
	}
	data, err = unbase64(data)
	return Found{Name: url, Data: data}, err
}

// azurestack has only the disc.
type azurestack struct{}

// Fetch implements Source.
func (azurestack) Fetch(ctx context.Context, env Env) (Found, error) {
	return disc(ctx, env, "udf", "iso9660")
}

const (
	ovfFile    = "/ovf-env.xml"
	customData = "/CustomData.bin"
)

// disc waits for the provisioning disc, which is known by a file, and reads
// the custom data. Without that file there is no config.
func disc(ctx context.Context, env Env, types ...string) (Found, error) {
	if env.Drives == nil {
		return Found{}, missing("drives")
	}
	var found Found
	err := env.poll(ctx, time.Second, forEver, func() (bool, error) {
		drives, err := env.Drives()
		for _, d := range drives {
			if !slices.Contains(types, d.Type) {
				continue
			}
			if _, err := d.ReadFile(ovfFile); err != nil {
				continue
			}
			found.Name = d.Name + " " + customData
			if found.Data, err = d.ReadFile(customData); errors.Is(err, fs.ErrNotExist) {
				found.Data, err = nil, nil
			}
			if err != nil {
				return false, fmt.Errorf("reading %s: %w", found.Name, err)
			}
			return true, nil
		}
		return false, err
	})
	return found, err
}

// needsNetwork stops an offline run before it waits for a drive that may
// never come.
func (env Env) needsNetwork() error {
	if env.Offline {
		return fmt.Errorf("asking the metadata service: %w", provision.ErrNeedsNetwork)
	}
	return nil
}
