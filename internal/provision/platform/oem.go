package platform

import "fmt"

// oem reads the configs of the OEM partition: base/base.ign lies below
// everything, config.ign takes the place of the platform's.
func oem(env Env) (base, user Found, err error) {
	if env.OEM == nil {
		return base, user, nil
	}
	for name, to := range map[string]*Found{"base/base.ign": &base, "config.ign": &user} {
		to.Name = "/oem/" + name
		if to.Data, err = readIf(env.OEM, name); err != nil {
			return base, user, fmt.Errorf("reading %s: %w", to.Name, err)
		}
	}
	return base, user, nil
}
