package dispatcher

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates keep the calls of each target to its rate, whichever queue they are for.
// They outlive the lines, which end as soon as nothing waits: a limiter that is
// new begins with a burst, so messages that come one by one would never wait.
type rates struct {
	mu     sync.Mutex
	of     map[string]*rate.Limiter // by target
	tidied time.Time
}

const (
	// rateBurst: a tenth of a second's calls may begin at once, since lines are
	// looked through every 50 ms.
	rateBurst = 10
	// ratesTidied is how often limiters are looked through that are not needed.
	ratesTidied = time.Minute
)

// allow says whether a target's rate, in calls a second (0: none), lets another
// call begin now, and counts it.
func (r *rates) allow(target string, perSecond float64, now time.Time) bool {
	if perSecond <= 0 || target == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tidy(now)
	limiter, there := r.of[target]
	if !there {
		if r.of == nil {
			r.of = map[string]*rate.Limiter{}
		}
		limiter = rate.NewLimiter(rate.Limit(perSecond), burstOf(perSecond))
		r.of[target] = limiter
	}
	if limiter.Limit() != rate.Limit(perSecond) {
		limiter.SetLimitAt(now, rate.Limit(perSecond))
		limiter.SetBurstAt(now, burstOf(perSecond))
	}
	return limiter.AllowN(now, 1)
}

func burstOf(perSecond float64) int { return max(1, int(perSecond/rateBurst)) }

// tidy forgets the limiters that are full again: a new one would be the same.
func (r *rates) tidy(now time.Time) {
	if now.Sub(r.tidied) < ratesTidied {
		return
	}
	r.tidied = now
	for target, limiter := range r.of {
		if limiter.TokensAt(now) >= float64(limiter.Burst()) {
			delete(r.of, target)
		}
	}
}
