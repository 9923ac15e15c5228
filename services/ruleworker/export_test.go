package ruleworker

import (
	"context"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/app"
)

// WireImpatient is Wire with no time for window rules while batches wait.
func WireImpatient(ctx context.Context, p *app.Process) error {
	impatient := patienceDefault
	impatient.ask = time.Nanosecond
	return wire(ctx, p, impatient)
}
