package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/events-aggregator/events-aggregator/pkg/action/notify"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Letters are the templates, by name. An error that is no outage
// (broker.IsOutage) and no absence is the template's.
type Letters interface {
	// Letter is nil when there is none of the name.
	Letter(ctx context.Context, name string) (*letter.Compiled, error)
}

// People are the users that notifications go to: those with the ids, and all of
// the roles.
type People interface {
	People(ctx context.Context, ids []string, roles []user.Role) ([]user.User, error)
}

// notifyExecutor sends SEND_NOTIFICATION actions' letters.
type notifyExecutor struct {
	channels map[string]channel
	fallback string // the channel of those without a preference
	letters  Letters
	people   People
}

const (
	// maxReceivers bounds the people of one notification; a role may have more.
	maxReceivers = 500

	classNoTemplate = "no_template"
	classNoChannel  = "no_channel"
	classRefused    = "refused" // by the channel, for good
	classSending    = "sending"
)

func (e *notifyExecutor) prepare(msg notification.Message) (call, error) {
	cfg, problems := notify.Parse(msg.Notification.Action.Config)
	if err := problemsError(problems); err != nil {
		return call{}, err
	}
	target := cfg.Channel
	if target == "" {
		target = e.fallback
	}
	return call{target: "channel " + target, carryOut: func(ctx context.Context, msg notification.Message) result {
		return e.send(ctx, cfg, target, msg)
	}}, nil
}

// send sends the letter to everybody who did not get it by an earlier attempt.
// What is not reached for now makes the attempt one that is tried again; what
// never will be is said, and does not keep it from the others.
// The channels are used beside each other, and only what the named one does is
// held against the target: people may have chosen others.
func (e *notifyExecutor) send(ctx context.Context, cfg notify.Config, named string, msg notification.Message) result {
	compiled, err := e.letters.Letter(ctx, cfg.Template)
	switch {
	case broker.IsOutage(err):
		return result{postpone: err}
	case err != nil:
		return result{outcome: notification.OutcomePermanent, class: classTemplate, err: err.Error()}
	case compiled == nil:
		return result{outcome: notification.OutcomePermanent, class: classNoTemplate, err: fmt.Sprintf("there is no template %q any more", cfg.Template)}
	}
	filled, err := compiled.Fill(msg)
	if err != nil {
		return result{outcome: notification.OutcomePermanent, class: classTemplate, err: err.Error()}
	}
	to, notes, err := e.receivers(ctx, cfg, event.Text(msg.Event, "type"))
	if err != nil {
		return result{postpone: err}
	}
	all := sending{notes: notes}
	byChannel := map[string][]receiver{}
	for _, r := range to {
		if !slices.Contains(msg.Receipts, r.String()) {
			byChannel[r.channel] = append(byChannel[r.channel], r)
		}
	}
	names := slices.Sorted(maps.Keys(byChannel))
	through := make([]sending, len(names))
	var ended sync.WaitGroup
	for i, name := range names {
		ended.Add(1)
		go func() {
			defer ended.Done()
			if failed := guarded(func() { e.through(ctx, name, byChannel[name], filled, msg, &through[i]) }); failed != nil {
				through[i].failed(receiver{channel: name}, failed)
			}
		}()
	}
	ended.Wait()
	says := saysNothing
	for i, name := range names {
		all.add(through[i])
		if name == named {
			says = through[i].says()
		}
	}
	if len(to) == 0 {
		all.notes = append(all.notes, "there is nobody to tell")
	}
	r := all.result()
	r.says = says
	return r
}

// through sends a letter to the receivers of one channel.
func (e *notifyExecutor) through(ctx context.Context, name string, to []receiver, l letter.Letter, msg notification.Message, sent *sending) {
	c := e.channels[name]
	if c == nil {
		for _, r := range to {
			sent.refused(r, fmt.Errorf("there is no channel %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(e.channels)), ", ")), classNoChannel)
		}
		return
	}
	envelopes := make([]envelope, len(to))
	for i, r := range to {
		envelopes[i] = envelope{Letter: l, to: r.address, id: letterID(msg.Notification.ID, r.String()), msg: msg}
	}
	for i, err := range c.send(ctx, envelopes) {
		var never *undeliverableLetter
		switch {
		case err == nil:
			sent.receipts = append(sent.receipts, to[i].String())
		case errors.As(err, &never):
			sent.refused(to[i], err, classRefused)
		default:
			sent.failed(to[i], err)
		}
	}
}

// receiver is one place that a letter goes to.
type receiver struct {
	channel string
	address string // "" where the channel is one for all
}

// String is what receipts call it.
func (r receiver) String() string {
	if r.address == "" {
		return r.channel
	}
	return r.channel + ":" + r.address
}

// receivers are the places that the recipients' letters go to, each once, with
// notes about those who get none.
func (e *notifyExecutor) receivers(ctx context.Context, cfg notify.Config, eventType string) (to []receiver, notes []string, err error) {
	fallback := cfg.Channel
	if fallback == "" {
		fallback = e.fallback
	}
	add := func(r receiver) {
		if c := e.channels[r.channel]; c != nil && !c.personal() {
			r.address = ""
		}
		if !slices.Contains(to, r) {
			to = append(to, r)
		}
	}
	var ids []string
	var roles []user.Role
	for _, one := range cfg.Recipients {
		switch {
		case one.Email != "":
			add(receiver{fallback, one.Email})
		case one.User != "":
			ids = append(ids, one.User)
		default:
			roles = append(roles, one.Role)
		}
	}
	if len(cfg.Recipients) == 0 {
		to = append(to, receiver{channel: fallback})
	}
	if len(ids)+len(roles) == 0 {
		return to, nil, nil
	}
	users, err := e.people.People(ctx, ids, roles)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		if !slices.ContainsFunc(users, func(u user.User) bool { return u.ID == id }) {
			notes = append(notes, "there is no user "+id+" any more")
		}
	}
	for _, u := range users {
		if !u.Preferences.Wants(eventType) {
			notes = append(notes, u.Email+" does not want to hear of "+eventType)
			continue
		}
		for _, name := range u.Preferences.Channels(fallback) {
			if len(to) == maxReceivers {
				return to, append(notes, fmt.Sprintf("more than %d people: the others are not told", maxReceivers)), nil
			}
			add(receiver{name, u.Email})
		}
	}
	return to, notes, nil
}

// sending is what became of one attempt's letters.
type sending struct {
	receipts    []string
	notes       []string
	again, dead []string // what went wrong, by receiver
	class       string
}

func (s *sending) refused(r receiver, err error, class string) {
	s.dead = append(s.dead, r.String()+": "+err.Error())
	s.class = class
}

func (s *sending) failed(r receiver, err error) {
	s.again = append(s.again, r.String()+": "+err.Error())
	if errors.Is(err, context.DeadlineExceeded) {
		s.class = classTimeout
	} else if s.class == "" || len(s.again) == 1 {
		s.class = classSending
	}
}

// add takes in what became of another channel's letters.
func (s *sending) add(other sending) {
	s.receipts = append(s.receipts, other.receipts...)
	s.notes = append(s.notes, other.notes...)
	s.again = append(s.again, other.again...)
	s.dead = append(s.dead, other.dead...)
	if s.class == "" || len(other.again) > 0 && s.class != classTimeout {
		s.class = other.class
	}
}

// says is what one channel's letters say of it: that one reaches nobody is its
// own failure; that some addresses are refused for now is theirs.
func (s *sending) says() says {
	if len(s.again) > 0 && len(s.receipts) == 0 {
		return saysFailing
	}
	return saysWell
}

func (s *sending) result() result {
	r := result{outcome: notification.OutcomeOK, receipts: s.receipts, excerpt: cut(strings.Join(s.notes, "; "), maxErrorText)}
	switch wrong := append(slices.Clone(s.again), s.dead...); {
	case len(s.again) > 0:
		r.outcome, r.class, r.err = notification.OutcomeRetry, s.class, cut(strings.Join(wrong, "; "), maxErrorText)
	case len(s.dead) > 0:
		r.outcome, r.class, r.err = notification.OutcomePermanent, s.class, cut(strings.Join(wrong, "; "), maxErrorText)
	}
	return r
}
