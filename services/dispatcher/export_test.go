package dispatcher

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

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

// FailureClass names a transport error.
func FailureClass(err error) (class string, permanent bool) { return failureClass(err) }

// ShareOf is how many calls one target may have at a time.
func ShareOf(slots, perTarget int) int { return shareOf(slots, perTarget) }

// RoundUp is the tier for a delay.
func RoundUp(tiers []time.Duration, d time.Duration) time.Duration { return roundUp(tiers, d) }
