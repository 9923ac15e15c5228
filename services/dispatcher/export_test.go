package dispatcher

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// WireTargetsOn is Wire with something between the breakers and the database.
func WireTargetsOn(between func(Targets) Targets) app.Wire {
	return func(ctx context.Context, p *app.Process) error { return wire(ctx, p, between) }
}

// LedgerOf is the store as Wire gives it to the dispatcher.
func LedgerOf(s *store.Store) Ledger { return ledger{s} }

// CheckAddress asks the guard.
func CheckAddress(addr netip.Addr, allowed ...netip.Prefix) error {
	return guard{allowed: allowed}.check(addr)
}

// GuardedTransport is how webhooks leave the process.
func GuardedTransport(resolver *net.Resolver, allowed ...netip.Prefix) *http.Transport {
	return newTransport(guard{allowed: allowed}, resolver, 1)
}

// Carry carries out one action as a dispatcher with these allowed networks does,
// and says with which class of error it failed, "" when it did not, and how.
func Carry(ctx context.Context, msg notification.Message, resolver *net.Resolver, allowed ...netip.Prefix) (class, text string) {
	e := executors(Options{AllowNetworks: allowed, Resolver: resolver}, nil, topology.New(""), zap.NewNop())[msg.Notification.Action.Type]
	defer e.(interface{ closeIdle() }).closeIdle()
	c, err := e.prepare(msg)
	if err != nil {
		return classInvalidConfig, err.Error()
	}
	r := c.carryOut(ctx, msg)
	return r.class, r.err
}

// ShoutError is what is said of an error of a service that this channel leads to.
func ShoutError(url, text string) (string, error) {
	c, err := newShoutChannel(url, "spec")
	if err != nil {
		return "", err
	}
	return c.withoutSecrets(errors.New(text)), nil
}

// FailureClass names a transport error.
func FailureClass(err error) (class string, permanent bool) { return failureClass(err) }

// ShareOf is how many calls one target may have at a time.
func ShareOf(slots, perTarget int) int { return shareOf(slots, perTarget) }

// RoundUp is the tier for a delay.
func RoundUp(tiers []time.Duration, d time.Duration) time.Duration { return roundUp(tiers, d) }
