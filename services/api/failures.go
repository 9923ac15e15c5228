package api

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// addressesKnown bounds the addresses that wrong keys are counted of. When they
// are more, the others share one count.
const addressesKnown = 10_000

// failures counts the wrong keys of each address. Keys cannot be guessed; those
// who try, or a program with an old key that never stops, would have the database
// asked each time.
type failures struct {
	limit rate.Limit
	burst int

	mu     sync.Mutex
	by     map[netip.Prefix]*rate.Limiter
	others *rate.Limiter
}

func newFailures(perMinute int) *failures {
	f := &failures{limit: rate.Limit(perMinute) / 60, burst: perMinute, by: map[netip.Prefix]*rate.Limiter{}}
	f.others = f.limiter()
	return f
}

func (f *failures) limiter() *rate.Limiter { return rate.NewLimiter(f.limit, f.burst) }

// wait is how long an address must send no wrong key before it is heard again, 0
// when it is heard.
func (f *failures) wait(address string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, known := f.by[networkOf(address)]
	if !known {
		if len(f.by) < addressesKnown {
			return 0
		}
		l = f.others
	}
	if tokens := l.TokensAt(now); tokens < 1 {
		return time.Duration((1 - tokens) / float64(f.limit) * float64(time.Second))
	}
	return 0
}

// note counts a wrong key.
func (f *failures) note(address string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	network := networkOf(address)
	l, known := f.by[network]
	if !known {
		if len(f.by) >= addressesKnown {
			f.forgive(now)
		}
		l = f.others
		if len(f.by) < addressesKnown {
			l = f.limiter()
			f.by[network] = l
		}
	}
	l.AllowN(now, 1)
}

// forgive drops the addresses that have sent no wrong key for so long that nothing
// is held against them.
func (f *failures) forgive(now time.Time) {
	for network, l := range f.by {
		if l.TokensAt(now) >= float64(f.burst) {
			delete(f.by, network)
		}
	}
}

// networkOf is what one user has of an address: all of IPv4, a /64 of IPv6. What
// is no address counts as one.
func networkOf(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
