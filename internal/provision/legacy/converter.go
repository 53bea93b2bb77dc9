package legacy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	spec2 "github.com/flatcar/ignition/config/v2_4/types"

	"github.com/coreos/ignition/v2/config/v3_1/types"
)

// converter holds a config of spec 2 and the one made of it.
type converter struct {
	minor  int // of the spec, -1 for spec 1
	in     spec2.Config
	first  map[string][]any // spec 1: element of in to that of the text
	out    types.Config
	origin map[string][]any
	notes  []Note
	mounts map[string]string // path of each file system by its name
}

func (c *converter) convert() {
	c.ignition()
	c.accounts()
	c.filesystems()
	c.disks()
	c.files()
	c.networkUnits()
	c.directories()
	c.links()
	c.units()
}

// from notes where an element of the new config, or what is below it, came
// from: a path of the config of spec 2.
func (c *converter) from(to string, at ...any) { c.origin[to] = c.place(at) }

// place turns a path of the config of spec 2 into one of the text.
func (c *converter) place(at []any) []any {
	for n := len(at); n > 0; n-- {
		if first, ok := c.first[key(at[:n])]; ok {
			return append(first[:len(first):len(first)], at[n:]...)
		}
	}
	return at
}

func (c *converter) fail(message, remedy string, at ...any) {
	c.notes = append(c.notes, Note{Error: true, Path: c.place(at), Message: message, Remedy: remedy})
}

func (c *converter) warn(message, remedy string, at ...any) {
	c.notes = append(c.notes, Note{Path: c.place(at), Message: message, Remedy: remedy})
}

// key writes a path as storage.files[0].mode.
func key(path []any) string {
	var b strings.Builder
	for _, e := range path {
		switch e := e.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", e)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, e)
		}
	}
	return b.String()
}

// entry writes the path of an entry of a list.
func entry(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func (c *converter) ignition() {
	in, out := c.in.Ignition, &c.out.Ignition
	out.Version = "3.1.0"
	if c.minor < 0 {
		c.origin["ignition.version"] = []any{"ignitionVersion"}
	}
	if in.Config.Replace != nil {
		out.Config.Replace = reference(in.Config.Replace.Source, in.Config.Replace.HTTPHeaders, in.Config.Replace.Verification)
	}
	for i, r := range in.Config.Append {
		c.from(entry("ignition.config.merge", i), "ignition", "config", "append", i)
		out.Config.Merge = append(out.Config.Merge, reference(r.Source, r.HTTPHeaders, r.Verification))
	}
	for _, r := range in.Security.TLS.CertificateAuthorities {
		out.Security.TLS.CertificateAuthorities = append(out.Security.TLS.CertificateAuthorities, reference(r.Source, r.HTTPHeaders, r.Verification))
	}
	out.Timeouts.HTTPResponseHeaders, out.Timeouts.HTTPTotal = in.Timeouts.HTTPResponseHeaders, in.Timeouts.HTTPTotal
	out.Proxy.HTTPProxy, out.Proxy.HTTPSProxy = text(in.Proxy.HTTPProxy), text(in.Proxy.HTTPSProxy)
	for _, host := range in.Proxy.NoProxy {
		out.Proxy.NoProxy = append(out.Proxy.NoProxy, types.NoProxyItem(host))
	}
}

func reference(source string, headers spec2.HTTPHeaders, v spec2.Verification) types.Resource {
	r := types.Resource{Source: &source, Verification: types.Verification{Hash: v.Hash}}
	for _, h := range headers {
		r.HTTPHeaders = append(r.HTTPHeaders, types.HTTPHeader{Name: h.Name, Value: text(h.Value)})
	}
	return r
}

// text, yes and number make the empty value an unset one.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func yes(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

func number(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

// words converts a list of texts of one type to that of another.
func words[To, From ~string](in []From) []To {
	var out []To
	for _, s := range in {
		out = append(out, To(s))
	}
	return out
}

// decode reads JSON into maps and lists, numbers as they are written.
func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// encode writes a config without the empty objects that the types leave.
func encode(config types.Config) ([]byte, error) {
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	tree, err := decode(data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(prune(tree))
}

// prune drops empty objects and nulls from objects. Lists keep their length.
func prune(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	case map[string]any:
		for name, child := range v {
			child = prune(child)
			if m, ok := child.(map[string]any); child == nil || ok && len(m) == 0 {
				delete(v, name)
			}
		}
	}
	return v
}
