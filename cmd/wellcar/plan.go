package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"wellcar.dev/internal/provision"
)

const planLong = `Prints what a first boot would do with a config, step by step, in the order of
doing: files with owner, mode, size and hash, units and their state, users.
Each step has the line of the config that asks for it. Nothing is changed.`

func planCommand(a *app) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:     "plan CONFIG",
		Short:   "Show what a first boot would do with a config",
		Long:    planLong,
		Example: `  wellcar plan examples/hello.bu`,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors")
	c.RunE = func(_ *cobra.Command, args []string) error {
		config, err := readConfig(a, args[0], strict)
		if err != nil {
			return err
		}
		plan, err := config.Plan(provision.DefaultFacts())
		if err != nil {
			return err
		}
		steps, err := json.Marshal(plan.Steps)
		if err != nil {
			return fmt.Errorf("writing the plan: %w", err)
		}
		a.show.result("plan", map[string]any{"steps": json.RawMessage(steps)}, provision.Render(plan))
		return nil
	}
	return c
}

// readConfig loads a user's file and tells all that is wrong with it.
func readConfig(a *app, name string, strict bool) (provision.Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return provision.Config{}, withCode(exitUsage, fmt.Errorf("reading the config: %w", err))
	}
	config, report := loadConfig(name, data, strict)
	for _, p := range report {
		if p.Severity != provision.Error {
			a.show.note("%s", p)
		}
	}
	return config, report.Err()
}
