package cloudinit

import "regexp"

// Values stand for the variables of a text. A value that is not known is "".
type Values struct {
	PublicIPv4, PrivateIPv4, PublicIPv6, PrivateIPv6 string
}

var variable = regexp.MustCompile(`\\?\$(public|private)_ipv[46]`)

func (v Values) byName() map[string]string {
	return map[string]string{
		"$public_ipv4": v.PublicIPv4, "$private_ipv4": v.PrivateIPv4,
		"$public_ipv6": v.PublicIPv6, "$private_ipv6": v.PrivateIPv6,
	}
}

// fill puts the values in place of $public_ipv4 and so on. A backslash before
// a variable keeps it as it is, without the backslash.
func (v Values) fill(text []byte) []byte {
	values := v.byName()
	return variable.ReplaceAllFunc(text, func(m []byte) []byte {
		if m[0] == '\\' {
			return m[1:]
		}
		return []byte(values[string(m)])
	})
}

// Environment are the values as /etc/environment names them, the known ones.
func (v Values) Environment() map[string]string {
	env := map[string]string{}
	for name, value := range map[string]string{
		"COREOS_PUBLIC_IPV4": v.PublicIPv4, "COREOS_PRIVATE_IPV4": v.PrivateIPv4,
		"COREOS_PUBLIC_IPV6": v.PublicIPv6, "COREOS_PRIVATE_IPV6": v.PrivateIPv6,
	} {
		if value != "" {
			env[name] = value
		}
	}
	return env
}
