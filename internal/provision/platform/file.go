package platform

import "context"

// file reads the file that the user names, else config.ign in the working
// directory. It is there for tests.
type file struct{}

// Fetch implements Source.
func (file) Fetch(_ context.Context, env Env) (Found, error) {
	name := env.Config
	if name == "" {
		name = "config.ign"
	}
	data, err := env.ReadFile(name)
	return Found{Name: name, Data: data}, err
}
