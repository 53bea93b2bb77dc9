package platform

import "fmt"

// oem reads a config of the OEM partition: base/base.ign lies below
// everything, config.ign takes the place of the platform's.
func oem(env Env, name string) (Found, error) {
	f := Found{Name: "/oem/" + name}
	if env.OEM == nil {
		return f, nil
	}
	var err error
	if f.Data, err = readIf(env.OEM, name); err != nil {
		return f, fmt.Errorf("reading %s: %w", f.Name, err)
	}
	return f, nil
}
