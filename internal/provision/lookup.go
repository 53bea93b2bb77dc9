package provision

import "context"

// User looks a user up on the target: in its /etc/passwd, then with its own
// name service.
func (t Target) User(ctx context.Context, name string) (Account, bool, error) {
	return (&machine{Target: t}).user(ctx, name)
}

// Group looks the id of a group up like User.
func (t Target) Group(ctx context.Context, name string) (int, bool, error) {
	return (&machine{Target: t}).group(ctx, name)
}
