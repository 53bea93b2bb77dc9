package platform

import (
	"bytes"
	"context"
)

// nvidiabluefield reads what the host wrote into the boot FIFO of the card.
type nvidiabluefield struct{}

// Fetch implements Source.
func (nvidiabluefield) Fetch(_ context.Context, env Env) (Found, error) {
	const name = "bus/platform/devices/MLNXBF04:00/bootfifo"
	if err := env.load("mlxbf_bootctl"); err != nil {
		return Found{}, err
	}
	data, err := readIf(env.Sys, name)
	return Found{Name: "/sys/" + name, Data: bytes.Trim(data, "\x00")}, err
}
