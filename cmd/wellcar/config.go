package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

const configLong = `Translates Butane to Ignition and checks it, or checks an Ignition config, and
prints the Ignition JSON. Each fault is one line: file, line and column, what
is wrong, what to do.`

func configCommand(a *app) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:     "config CONFIG",
		Short:   "Translate and check a config",
		Long:    configLong,
		Example: `  wellcar config examples/hello.bu > hello.ign`,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors")
	c.RunE = func(_ *cobra.Command, args []string) error {
		config, err := readConfig(a, args[0], strict)
		if err != nil {
			return err
		}
		if !config.Provided() {
			return fmt.Errorf("%s: there is no config in it", args[0])
		}
		a.show.result("config", map[string]any{"ignition": json.RawMessage(config.JSON)}, string(config.JSON))
		return nil
	}
	return c
}
