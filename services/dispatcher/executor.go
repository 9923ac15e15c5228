package dispatcher

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// executor carries out one type of action. The types themselves (configuration,
// checks, bodies, signatures) are in pkg/action; here is their I/O.
type executor interface {
	// prepare reads a message's action and says what a call would be. It does no
	// I/O. Its error is the notification's end: the snapshot does not change.
	prepare(msg notification.Message) (call, error)
}

// call is one action, ready to be carried out.
type call struct {
	// target is what is called, as limits and lines know it ("" when nobody is):
	// a URL's host, a channel. It is also what logs and outcome events show, and
	// holds no secret.
	target string
	// endpoint is the part of the target that can be disabled by itself, "" when
	// there is none: a hash, since a URL's path may be a secret.
	endpoint string
	// heldBack: the call is made up, and says nothing about its target.
	heldBack bool
	// timeout bounds carryOut; 0 is the dispatcher's.
	timeout time.Duration
	// carryOut makes the call; ctx carries the time-out.
	carryOut func(ctx context.Context, msg notification.Message) result
}

// result is what a call came to.
type result struct {
	outcome    notification.Outcome
	statusCode int
	class      string // of the error, "" when ok
	err        string // without secrets
	excerpt    string // of the answer, valid UTF-8, without secrets
	retryAfter time.Duration
	receipts   []string // who got it, of an action with several receivers
	// says is what the call says of its target, where that is not the outcome.
	says says
	// postpone: nothing was sent for a reason of our own, an outage; it is no
	// attempt.
	postpone error
}

// says is what a call says of its target, for the breaker.
type says int

const (
	saysOutcome says = iota // failing when the outcome is one that is tried again
	saysWell
	saysFailing
	saysNothing // it was not asked
)

// failing judges a call by its attempt.
func (s says) failing(a notification.Attempt) bool {
	if s == saysOutcome {
		return a.Outcome == notification.OutcomeRetry && a.ErrorClass != webhook.ClassRateLimited
	}
	return s == saysFailing
}

// executors is the table of what can be carried out, by the type's name.
// messages publishes PUBLISH actions' messages.
func executors(o Options, messages Publisher, t topology.Table, log *zap.Logger) map[string]executor {
	transport := newTransport(guard{allowed: o.AllowNetworks}, o.Resolver, max(o.TargetConcurrency, 8))
	return map[string]executor{
		"WEBHOOK": newHTTPExecutor(o, transport, webhookRequest),
		"ALERT":   newHTTPExecutor(o, transport, alertRequest),
		"LOG":     logExecutor{log: log.Named("audit")},
		"PUBLISH": publishExecutor{publisher: messages, topology: t},
		"SEND_NOTIFICATION": &notifyExecutor{
			channels: o.Channels, fallback: o.DefaultChannel, letters: o.Letters, people: o.People,
		},
	}
}

// Classes of errors that no executor is the owner of.
const (
	classUnknownAction = "unknown_action"
	classInvalidConfig = "invalid_config"
	classPanic         = "panic"
	classTimeout       = "timeout"
	classHeldBack      = "held_back"
	classKeyMissing    = "secret_key_missing"
)

// prepare finds the executor and asks it. What cannot be prepared, or whose
// secrets are damaged, becomes a call that says so, so that it is recorded as
// any other attempt.
func (d *Dispatcher) prepare(msg notification.Message, damaged error) call {
	if damaged != nil {
		return refusal(classInvalidConfig, damaged.Error())
	}
	e, known := d.executors[msg.Notification.Action.Type]
	if !known {
		return refusal(classUnknownAction, fmt.Sprintf("this dispatcher knows no action type %q", msg.Notification.Action.Type))
	}
	var c call
	var err error
	if failed := guarded(func() { c, err = e.prepare(msg) }); failed != nil {
		return refusal(classPanic, failed.Error())
	}
	if err != nil {
		return refusal(classInvalidConfig, err.Error())
	}
	return c
}

func refusal(class, text string) call {
	return call{carryOut: func(context.Context, notification.Message) result {
		return result{outcome: notification.OutcomePermanent, class: class, err: text}
	}}
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
}

func (e *panicked) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// Class names the error for dead letters.
func (*panicked) Class() string { return classPanic }

// guarded runs f and makes a panic an error, so that one message cannot take
// the process and everything that it holds with it.
func guarded(f func()) (failed *panicked) {
	defer func() {
		if v := recover(); v != nil {
			failed = &panicked{value: v, stack: debug.Stack()}
		}
	}()
	f()
	return nil
}
