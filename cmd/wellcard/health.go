//go:build linux

package main

import (
	"context"
	"time"

	"wellcar.dev/internal/sys/command"
	"wellcar.dev/internal/update/health"
)

// proveSystem is the health gate, with the machine's checks.
func proveSystem(ctx context.Context, logf func(string, ...any)) error {
	checks, err := health.Load("/")
	if err != nil {
		return err
	}
	if len(checks) == 0 {
		checks = health.Default()
	}
	return health.Gate{Probe: health.Probe(command.Exec), After: time.After, Logf: logf}.Prove(ctx, checks)
}
