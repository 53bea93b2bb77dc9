package clc

import (
	"github.com/flatcar/container-linux-config-transpiler/config"
	"github.com/flatcar/container-linux-config-transpiler/config/astyaml"
	"github.com/flatcar/container-linux-config-transpiler/config/types"
	"github.com/flatcar/ignition/config/validate/astnode"
	"gopkg.in/yaml.v3"
)

// withMadeUnits puts a node for each unit that a section makes in front of
// those of the user, where the units themselves stand after the translation:
// ct looks up places by the index of a unit.
func withMadeUnits(in types.Config, ast astnode.AstNode, platform string) astnode.AstNode {
	tree, ok := ast.(astyaml.YamlNode)
	made := madeUnits(in, platform)
	if !ok || made == 0 {
		return ast
	}
	tree.Node = changed(tree.Node, "systemd", func(systemd yaml.Node) yaml.Node {
		return changed(systemd, "units", func(units yaml.Node) yaml.Node {
			if units.Kind != yaml.SequenceNode {
				return units
			}
			content := make([]*yaml.Node, 0, made+len(units.Content))
			for range made {
				content = append(content, &yaml.Node{Kind: yaml.MappingNode, Line: units.Line, Column: units.Column})
			}
			units.Content = append(content, units.Content...)
			return units
		})
	})
	return tree
}

// madeUnits counts the units that sections make, and those of the platform.
func madeUnits(in types.Config, platform string) int {
	out, _ := config.Convert(types.Config{Docker: in.Docker, Etcd: in.Etcd, Flannel: in.Flannel}, platform, nil)
	return len(out.Systemd.Units)
}

// changed is a mapping with the value of a key replaced by what change makes
// of it.
func changed(n yaml.Node, key string, change func(yaml.Node) yaml.Node) yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	n.Content = append([]*yaml.Node(nil), n.Content...)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			value := change(*n.Content[i+1])
			n.Content[i+1] = &value
		}
	}
	return n
}
