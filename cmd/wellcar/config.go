package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
	"github.com/spf13/cobra"

	"wellcar.dev/internal/format/jsonschema"
	"wellcar.dev/internal/provision"
)

const configLong = `Checks a config and prints it as Ignition JSON of spec 3. CONFIG is Butane, a
Container Linux Config (as ct reads it), Ignition JSON of spec 1, 2 or 3, or a
cloud-config, which is checked only; - is the standard input.

Each fault is one line: file, line and column, what is wrong, what to do. With
--json each is an object. Units are checked as systemd would read them.

ct users: "wellcar config --platform ec2 c.yaml" is
"ct --platform ec2 --in-file c.yaml", with --files-dir and --strict.`

func configCommand(a *app) *cobra.Command {
	var o sourceFlags
	var schema bool
	c := &cobra.Command{
		Use:   "config CONFIG",
		Short: "Translate and check a config",
		Long:  configLong,
		Example: `  wellcar config examples/hello.bu > hello.ign
  wellcar config --strict --platform ec2 container-linux.yaml > node.ign`,
		Args: func(c *cobra.Command, args []string) error {
			if schema {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
	}
	o.add(c.Flags())
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of Ignition configs of spec 3")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if schema {
			return a.show.schema(jsonschema.Of(reflect.TypeFor[types.Config](), nil))
		}
		if err := o.check(); err != nil {
			return err
		}
		image, err := imageContents(o.image)
		if err != nil {
			return withCode(exitUsage, err)
		}
		s, err := readSource(a, args[0], o, image)
		if err != nil {
			return err
		}
		if err := a.show.problems(args[0], o.judge(s.config.CheckEmbedded())); err != nil {
			return err
		}
		return a.show.config(s)
	}
	return c
}

// config prints what came of a text.
func (p *printer) config(s source) error {
	switch {
	case s.cloud != nil:
		p.note("%s: nothing wrong was found; coreos-cloudinit reads it on the machine as it is", s.name)
		return nil
	case !s.config.Provided():
		return fmt.Errorf("%s: there is no config in it", s.name)
	}
	if p.json {
		p.result("config", map[string]any{"kind": s.config.Kind, "ignition": json.RawMessage(s.config.JSON)}, "")
		return nil
	}
	p.result("config", nil, string(s.config.JSON))
	return nil
}

func (p *printer) schema(s jsonschema.Schema) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	p.result("schema", map[string]any{"schema": s}, string(text))
	return nil
}

// stepSchema is that of provision.Step, which writes itself.
var stepSchema = jsonschema.Own{reflect.TypeFor[provision.Step](): {
	"type":     "object",
	"required": []string{"kind", "stage", "describe", "action"},
	"properties": map[string]any{
		"kind": jsonschema.Schema{"type": "string"}, "stage": jsonschema.Schema{"enum": provision.Stages},
		"at":       jsonschema.Schema{"$ref": "#/$defs/Position"},
		"describe": jsonschema.Schema{"type": "string"}, "action": jsonschema.Schema{"type": "object"},
	},
}}
