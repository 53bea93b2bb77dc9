package provision

import (
	"strings"

	"github.com/coreos/ignition/v2/config/util"
	types "github.com/coreos/ignition/v2/config/v3_7_experimental/types"
)

// NeedsNetwork tells whether a rendered config asks for something that only a
// network has: a content that is not embedded, or a key server.
func NeedsNetwork(c Config) bool {
	s := c.Ignition.Storage
	for _, f := range s.Files {
		if anyRemote(append(f.Append[:len(f.Append):len(f.Append)], f.Contents)) {
			return true
		}
	}
	for _, l := range s.Luks {
		if isRemote(l.KeyFile) || clevisNeedsNetwork(l.Clevis) {
			return true
		}
	}
	return anyRemote(c.Ignition.Ignition.Security.TLS.CertificateAuthorities)
}

func clevisNeedsNetwork(c types.Clevis) bool {
	for _, t := range c.Tang {
		if util.NilOrEmpty(t.Advertisement) {
			return true
		}
	}
	return util.IsTrue(c.Custom.NeedsNetwork)
}

func anyRemote(all []types.Resource) bool {
	for _, r := range all {
		if isRemote(r) {
			return true
		}
	}
	return false
}

func isRemote(r types.Resource) bool {
	return util.NotEmpty(r.Source) && !strings.HasPrefix(*r.Source, "data:") && !strings.HasPrefix(*r.Source, "oem:")
}
