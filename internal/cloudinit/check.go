package cloudinit

import (
	"fmt"
	"path"
	"strings"

	"gopkg.in/yaml.v3"
)

// checker holds a parsed text against the shapes.
type checker struct {
	at     place
	report Report
}

func (c *checker) add(s Severity, n *yaml.Node, message, remedy string) {
	c.report = append(c.report, Problem{s, c.at.file, c.at.line(n.Line), n.Column, message, remedy})
}

// check looks at the value of a key and drops from it what has no meaning, so
// that decoding the rest cannot stumble. It tells whether the value is usable.
func (c *checker) check(name string, n *yaml.Node, s *shape) bool {
	n = resolve(n)
	if isNull(n) {
		return false
	}
	switch s.kind {
	case mapping:
		return c.mapping(name, n, s)
	case list:
		return c.list(name, n, s)
	}
	return c.scalar(name, n, s)
}

func (c *checker) mapping(name string, n *yaml.Node, s *shape) bool {
	if n.Kind != yaml.MappingNode {
		return c.wrong(name, n, s)
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		child := s.fields[normal(key.Value)]
		if child == nil {
			c.unknown(name, key, s)
			continue
		}
		if child.deprecated != "" {
			c.add(Warning, key, fmt.Sprintf("%s is deprecated: %s", key.Value, child.deprecated), child.instead)
		}
		if c.check(key.Value, value, child) {
			kept = append(kept, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: normal(key.Value), Line: key.Line, Column: key.Column}, value)
		}
	}
	n.Content = kept
	return true
}

func (c *checker) unknown(name string, key *yaml.Node, s *shape) {
	if s == root || name != "coreos" || root.fields[normal(key.Value)] == nil {
		c.add(Warning, key, fmt.Sprintf("there is no key %s here, it is ignored", key.Value), unknownRemedy(key.Value, s))
		return
	}
	c.add(Warning, key, fmt.Sprintf("%s does not belong under coreos, it is ignored", key.Value), "move it to the top level")
}

// Keys of the program cloud-init that coreos-cloudinit never had, and what
// does their work.
var foreign = map[string]string{
	"packages": "run the program in a container, or bring it as a system extension", "apt": "bring programs as system extensions",
	"package_update": "drop it: the system updates itself", "package_upgrade": "drop it: the system updates itself",
	"runcmd": "write a unit under coreos.units with command: start", "bootcmd": "write a unit under coreos.units with command: start",
	"mounts": "write a .mount unit under coreos.units", "timezone": "write a unit under coreos.units that runs timedatectl",
	"ntp": "write the file /etc/systemd/timesyncd.conf", "fqdn": "write hostname",
}

// unknownRemedy says what to do about a key that there is not.
func unknownRemedy(key string, s *shape) string {
	if instead := foreign[normal(key)]; instead != "" && s == root {
		return instead
	}
	return "check its spelling and indentation"
}

func (c *checker) list(name string, n *yaml.Node, s *shape) bool {
	if n.Kind != yaml.SequenceNode {
		return c.wrong(name, n, s)
	}
	var kept []*yaml.Node
	for _, item := range n.Content {
		if c.check(name, item, s.items) {
			kept = append(kept, item)
		}
	}
	n.Content = kept
	return true
}

func (c *checker) scalar(name string, n *yaml.Node, s *shape) bool {
	if n.Kind != yaml.ScalarNode || !fits(n, s.kind) {
		return c.wrong(name, n, s)
	}
	if s.valid != nil && n.Value != "" && !s.valid.MatchString(n.Value) {
		c.add(Error, n, fmt.Sprintf("%s has the value %q", name, n.Value), "write "+choiceWords(s))
		return false
	}
	return true
}

func choiceWords(s *shape) string {
	if strings.Contains(s.choices, ", ") && !strings.Contains(s.choices, "such as") {
		return "one of " + s.choices
	}
	return s.choices
}

// fits tells whether a scalar is of a kind: any scalar serves as text.
func fits(n *yaml.Node, k kind) bool {
	switch k {
	case number:
		return n.ShortTag() == "!!int" || n.ShortTag() == "!!float"
	case boolean:
		var b bool
		return n.Decode(&b) == nil
	}
	return true
}

func (c *checker) wrong(name string, n *yaml.Node, s *shape) bool {
	if name == "" {
		name = "the text"
	}
	c.add(Error, n, fmt.Sprintf("%s is not %s", name, s.kind), kindRemedy[s.kind])
	return false
}

// How a value of each kind is written.
var kindRemedy = map[kind]string{
	text: "write one text, not a list or a mapping", number: "write a number without quotes", boolean: "write true or false",
	list: "write a list, each entry beginning with -", mapping: "write keys with their values, as name: value",
}

// normal writes a key with underscores.
func normal(key string) string { return strings.ReplaceAll(key, "-", "_") }

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// files checks what shapes cannot say about write_files, and decodes the
// contents. The nodes are those of the list.
func (c *checker) files(cfg *Config, nodes []*yaml.Node) {
	for i := range cfg.WriteFiles {
		f, n := &cfg.WriteFiles[i], resolve(nodes[i])
		if !strings.HasPrefix(f.Path, "/") {
			c.add(Error, n, fmt.Sprintf("file %q has no absolute path", f.Path), "begin the path with /")
		}
		if f.Path = path.Clean(f.Path); strings.HasPrefix(f.Path, "/usr/") && !strings.HasPrefix(f.Path, "/usr/local/") {
			c.add(Error, child(n, "path"), fmt.Sprintf("file %s cannot be written: /usr is read-only", f.Path), "choose a path under /etc or /opt")
		}
		decoded, err := decode(f.Content, f.Encoding)
		if err != nil {
			c.add(Error, child(n, "content"), fmt.Sprintf("the content of file %s: %v", f.Path, err), "encode it anew, or drop encoding and give the text as it is")
			continue
		}
		f.Content, f.Encoding = string(decoded), ""
	}
}

// names checks that users and units have one.
func (c *checker) names(cfg *Config, top *yaml.Node) {
	for i, n := range items(child(top, "users")) {
		switch name := cfg.Users[i].Name; {
		case name == "":
			c.add(Error, n, "a user has no name", "add the key name")
		case strings.ContainsAny(name, " \t\n:/,") || name[0] == '-':
			// A warning: as an error it would keep the keys of core away, too.
			c.add(Warning, child(n, "name"), fmt.Sprintf("useradd refuses the user name %q, and nothing of this cloud-config is done after that", name), "use letters, digits, - and _")
		}
	}
	for i, n := range items(child(child(top, "coreos"), "units")) {
		u := cfg.CoreOS.Units[i]
		if u.Name == "" || strings.Contains(u.Name, "/") || !strings.Contains(u.Name, ".") {
			c.add(Error, n, fmt.Sprintf("a unit has the name %q", u.Name), "write a name with its type, such as app.service")
		}
		for k, d := range items(child(n, "drop_ins")) {
			if name := u.DropIns[k].Name; !strings.HasSuffix(name, ".conf") || strings.Contains(name, "/") {
				c.add(Error, d, fmt.Sprintf("a drop-in of unit %s has the name %q", u.Name, name), "write a name that ends in .conf")
			}
		}
	}
}

// child is the value of a key, or the node itself if there is none.
func child(n *yaml.Node, name string) *yaml.Node {
	n = resolve(n)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return n
}

// items are the entries of a list; none if it is no list.
func items(n *yaml.Node) []*yaml.Node {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}
