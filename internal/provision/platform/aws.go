package platform

import (
	"context"
	"errors"
	"fmt"

	"wellcar.dev/internal/provision"
)

// aws asks for a session token, and goes without one where the service knows
// none (its first version).
type aws struct{}

const awsTokenURL = link + "/latest/api/token"

// Fetch implements Source.
func (aws) Fetch(ctx context.Context, env Env) (Found, error) {
	const url = link + "/2019-10-01/user-data"
	token, err := env.get(ctx, Call{Method: "PUT", URL: awsTokenURL, Headers: header("x-aws-ec2-metadata-token-ttl-seconds", "21600")})
	if err != nil && !errors.Is(err, provision.ErrNotFound) {
		return Found{}, fmt.Errorf("getting a token: %w", err)
	}
	s := web{url: url}
	if len(token) > 0 {
		s.headers = header("X-aws-ec2-metadata-token", string(token))
	}
	return s.Fetch(ctx, env)
}
