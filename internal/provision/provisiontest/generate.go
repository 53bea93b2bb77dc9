// Package provisiontest makes random configs that are valid, for tests that
// compare what a plan says with what a machine becomes.
//
//	text := provisiontest.Config(seed)
//
// Equal seeds give equal configs. They have files, directories, links, units,
// users and groups; no two of their paths are in each other's way.
package provisiontest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"
)

// object is a JSON object.
type object = map[string]any

// generator makes one config.
type generator struct {
	*rand.Rand
	taken map[string]bool // paths
	dirs  []string        // that other nodes may be in
	files []string        // that hard links may lead to
	names int
}

// Config is the config of a seed, Ignition JSON of spec 3.4.0.
func Config(seed uint64) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x77656c6c636172)), taken: map[string]bool{}, dirs: []string{"/etc", "/opt", "/srv", "/var/lib"}}
	c := object{"ignition": object{"version": "3.4.0"}}
	c["passwd"] = object{"groups": g.list(3, g.group), "users": g.list(4, g.user)}
	directories := g.list(8, g.directory)
	files := g.list(20, g.file)
	c["storage"] = object{"directories": directories, "files": files, "links": g.list(8, g.link)}
	c["systemd"] = object{"units": g.list(8, g.unit)}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}

func (g *generator) list(limit int, one func() object) []object {
	out := []object{}
	for range g.IntN(limit + 1) {
		out = append(out, one())
	}
	return out
}

func (g *generator) name() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_.äß "
	runes := []rune(letters)
	g.names++
	var b strings.Builder
	fmt.Fprintf(&b, "n%d", g.names)
	for range g.IntN(8) {
		b.WriteRune(runes[g.IntN(len(runes))])
	}
	return strings.Trim(b.String(), " .") // a blank at the end would be hard to see
}

// place is a new path in a directory that is there or in one that is not.
func (g *generator) place() string {
	dir := g.dirs[g.IntN(len(g.dirs))]
	for range g.IntN(3) {
		dir = path.Join(dir, g.name())
	}
	return path.Join(dir, g.name())
}

func (g *generator) node() object {
	n := object{"path": g.place()}
	if g.IntN(3) == 0 {
		n["user"] = object{"id": g.IntN(3) * 500}
	}
	if g.IntN(3) == 0 {
		n["group"] = object{"id": g.IntN(3) * 500}
	}
	if g.IntN(4) == 0 {
		n["user"] = object{"name": "core"}
	}
	return n
}

func (g *generator) directory() object {
	n := g.node()
	g.dirs = append(g.dirs, n["path"].(string))
	if g.IntN(2) == 0 {
		n["mode"] = 0o700 | g.IntN(0o100)
	}
	return n
}

func (g *generator) file() object {
	n := g.node()
	g.files = append(g.files, n["path"].(string))
	if g.IntN(2) == 0 {
		n["mode"] = g.IntN(0o1000)
	}
	if g.IntN(5) > 0 {
		n["contents"] = g.resource()
		n["overwrite"] = g.IntN(2) == 0
	}
	if g.IntN(5) == 0 {
		n["append"] = []object{g.resource(), g.resource()}
	}
	return n
}

func (g *generator) bytes() []byte {
	data := make([]byte, g.IntN(300))
	for i := range data {
		data[i] = byte(g.IntN(256))
	}
	return data
}

// resource is content in one of the forms of a data URL.
func (g *generator) resource() object {
	data := g.bytes()
	sum := sha256.Sum256(data)
	r := object{}
	if g.IntN(2) == 0 {
		r["verification"] = object{"hash": "sha256-" + hex.EncodeToString(sum[:])}
	}
	switch g.IntN(3) {
	case 0:
		r["source"] = "data:," + strings.ReplaceAll(url.QueryEscape(string(data)), "+", "%20")
	case 1:
		r["source"] = "data:;base64," + base64.StdEncoding.EncodeToString(data)
	default:
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		r["source"], r["compression"] = "data:;base64,"+base64.StdEncoding.EncodeToString(b.Bytes()), "gzip"
	}
	return r
}

func (g *generator) link() object {
	n := g.node()
	if len(g.files) > 0 && g.IntN(3) == 0 {
		return object{"path": n["path"], "target": g.files[g.IntN(len(g.files))], "hard": true}
	}
	n["target"] = []string{"/nowhere", "../" + g.name(), "/etc/passwd"}[g.IntN(3)]
	return n
}

func (g *generator) group() object {
	o := object{"name": fmt.Sprintf("group%d", g.unique())}
	if g.IntN(2) == 0 {
		o["gid"] = 3000 + g.names
	}
	return o
}

func (g *generator) user() object {
	o := object{"name": fmt.Sprintf("user%d", g.unique())}
	if g.IntN(2) == 0 {
		o["uid"] = 2000 + g.names
	}
	if g.IntN(2) == 0 {
		o["shell"] = "/bin/sh"
	}
	if g.IntN(2) == 0 {
		o["sshAuthorizedKeys"] = []string{"ssh-ed25519 AAAA" + g.name(), "ssh-ed25519 BBBB"}[:1+g.IntN(2)]
	}
	return o
}

func (g *generator) unique() int {
	g.names++
	return g.names
}

func (g *generator) unit() object {
	name := fmt.Sprintf("u%d.service", g.unique())
	const text = "[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n"
	o := object{"name": name}
	switch g.IntN(4) {
	case 0:
		o["mask"] = true
		return o
	case 1:
		o["dropins"] = []object{{"name": "10-x.conf", "contents": "[Service]\nEnvironment=N=" + fmt.Sprint(g.names) + "\n"}}
		return o
	case 2:
		o["name"] = fmt.Sprintf("u%d@one.service", g.names)
		o["enabled"] = true
		return o
	}
	o["contents"] = text + "# " + name + "\n"
	if g.IntN(2) == 0 {
		o["enabled"] = true
	}
	return o
}
