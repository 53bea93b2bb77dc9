package preview

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"wellcar.dev/internal/provision"
)

// Download is a resource that the first boot fetches.
type Download struct {
	URL     string             `json:"url"` // without a password
	For     string             `json:"for"` // the file that it becomes, or the volume that it opens
	Hash    string             `json:"hash,omitempty"`
	At      provision.Position `json:"at,omitzero"`
	Checked bool               `json:"checked"`
	Size    int64              `json:"size,omitempty"`   // after unpacking
	SHA256  string             `json:"sha256,omitempty"` // of what came
	Error   string             `json:"error,omitempty"`

	request provision.Request
	tang    bool // a server's keys, proved by their thumbprint
}

func downloads(plan provision.Plan) []Download {
	var out []Download
	for _, s := range plan.Steps {
		if volume, ok := s.Action.(*provision.CreateLUKS); ok && volume.Clevis != nil {
			out = append(out, servers(volume, s.At)...)
		}
		content := content(s.Action)
		if content == nil {
			continue
		}
		if r, ok := content.Remote(); ok {
			out = append(out, Download{URL: r.Address(), For: purpose(s.Action), Hash: r.Hash, At: s.At, request: r})
		}
	}
	return out
}

// servers are the Tang servers that are asked while a volume is made.
func servers(a *provision.CreateLUKS, at provision.Position) []Download {
	var out []Download
	for _, t := range a.Clevis.Tang {
		if t.Advertisement == "" {
			r := provision.Request{URL: strings.TrimRight(t.URL, "/") + "/adv"}
			out = append(out, Download{URL: r.Address(), For: "LUKS volume " + a.Name, At: at, request: r, tang: true})
		}
	}
	return out
}

func purpose(a provision.Action) string {
	if volume, ok := a.(*provision.CreateLUKS); ok {
		return "LUKS volume " + volume.Name
	}
	return target(a)
}

func content(a provision.Action) *provision.Content {
	switch a := a.(type) {
	case *provision.WriteFile:
		return a.Content
	case *provision.AppendFile:
		return a.Content
	case *provision.CreateLUKS:
		return a.Key
	}
	return nil
}

// Resources that are fetched at a time.
const parallel = 4

// Check fetches every download and notes size, digest and what went wrong.
// Resources of the machine itself (oem) and Tang servers are left out: these
// may be in a network of their own.
func (p *Preview) Check(ctx context.Context, f provision.Fetcher) {
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i := range p.Downloads {
		d := &p.Downloads[i]
		if d.local() || d.tang {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			d.check(ctx, f)
			<-slots
		})
	}
	all.Wait()
	for _, d := range p.Downloads {
		if d.Error != "" {
			p.Problems = append(p.Problems, provision.Problem{Severity: provision.Error, Position: d.At, Message: d.Error,
				Remedy: "correct the source or its hash, or plan with --offline"})
		}
	}
}

// local tells whether the machine has the resource itself.
func (d *Download) local() bool { return strings.HasPrefix(d.request.URL, "oem:") }

func (d *Download) check(ctx context.Context, f provision.Fetcher) {
	var w counter
	sum := sha256.New()
	w.hash = sum
	err := f.Fetch(ctx, d.request, &w)
	d.Checked = true
	if err != nil {
		d.Error = err.Error()
		if wrong := (*provision.HashError)(nil); errors.As(err, &wrong) {
			d.Error = fmt.Sprintf("fetching %s: %v", d.URL, wrong)
		}
		return
	}
	d.Size, d.SHA256 = w.n, hex.EncodeToString(sum.Sum(nil))
}

// counter counts and hashes what is written.
type counter struct {
	n    int64
	hash interface{ Write([]byte) (int, error) }
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return c.hash.Write(b)
}
