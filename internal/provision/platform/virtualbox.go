package platform

import (
	"context"
	"errors"
	"fmt"
)

const (
	vboxConfig   = "/Ignition/Config"
	vboxEncoding = "/Ignition/Config/Encoding"
)

// virtualbox reads a guest property.
type virtualbox struct{}

// Fetch implements Source.
func (virtualbox) Fetch(_ context.Context, env Env) (Found, error) {
	found := Found{Name: "guest property " + vboxConfig}
	if env.Property == nil {
		return found, missing("guest properties of VirtualBox")
	}
	if err := env.load("vboxguest"); err != nil {
		return found, err
	}
	encoding, err := env.Property(vboxEncoding)
	if err == nil && len(encoding) > 0 {
		err = fmt.Errorf("the guest property %s is %q: there must be none", vboxEncoding, encoding)
	}
	if err != nil {
		return found, err
	}
	found.Data, err = env.Property(vboxConfig)
	return found, err
}

// Forget implements Forgetter.
func (virtualbox) Forget(_ context.Context, env Env) error {
	if env.DeleteProperty == nil {
		return missing("guest properties of VirtualBox")
	}
	return errors.Join(env.DeleteProperty(vboxEncoding), env.DeleteProperty(vboxConfig))
}
