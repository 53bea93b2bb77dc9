package platform

import (
	"strings"
	"testing"

	"wellcar.dev/internal/provision"
)

func TestOfflineNeedsNetwork(t *testing.T) {
	for _, id := range []string{"aws", "azure", "gcp", "openstack", "cloudstack", "akamai", "packet", "scaleway"} {
		_, err := User(t.Context(), id, Env{Offline: true})
		if !strings.Contains(err.Error(), provision.ErrNeedsNetwork.Error()) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
