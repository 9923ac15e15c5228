package broker

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// allowance is how many deliveries a consumer takes at a time, so that their
// bodies stay under a number of bytes: the client keeps everything that was
// prefetched in memory, and AMQP bounds a prefetch by messages alone. It begins
// low, since the first messages may be the large ones.
type allowance struct {
	most  int // deliveries
	bytes int
	mean  float64 // bytes of a body, of the latest; 0: none was seen
}

const (
	// firstAllowance of the largest messages that a broker takes (16 MiB) is what
	// a process has memory for.
	firstAllowance = 16
	// firstWait: the first messages are waited for until none comes for so long.
	firstWait = 20 * time.Millisecond
	// latest is about how many bodies the mean is of.
	latest = 32
)

func (a *allowance) add(bytes int) {
	if a.mean == 0 {
		a.mean = float64(bytes) + 1
	}
	a.mean += (float64(bytes) - a.mean) / latest
}

// begin is the prefetch of a new session.
func (a *allowance) begin() int {
	if a.mean == 0 {
		return min(firstAllowance, a.most)
	}
	return a.fitting()
}

func (a *allowance) fitting() int {
	return min(a.most, max(1, int(float64(a.bytes)/max(1, a.mean))))
}

// next is the prefetch that suits better than now, after seen deliveries with
// it. Little changes change nothing: each is another consumer for the broker,
// and what is on its way to the one before counts another delivery.
func (a *allowance) next(now, seen int) int {
	switch fits := a.fitting(); {
	case fits <= now/2:
		return fits
	case seen >= now && (fits >= 2*now || fits == a.most):
		return fits
	}
	return now
}

// look takes the first deliveries of all and judges by them before any is
// handed on: then nothing is on its way when the prefetch changes, and the
// order stays.
func (a *allowance) look(ctx context.Context, deliveries <-chan amqp.Delivery, f *feed) (first []amqp.Delivery) {
	if a.mean > 0 {
		return nil
	}
	var quiet <-chan time.Time
	for most := a.begin(); len(first) < most; {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return first
			}
			a.add(len(d.Body))
			first = append(first, d)
			quiet = time.After(firstWait)
		case <-quiet:
			return first
		case <-ctx.Done():
			return first
		case f.err = <-f.looped:
			f.ended = true
			return first
		}
	}
	return first
}
