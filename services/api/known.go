package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Templates are the letters' templates.
type Templates interface {
	SaveTemplate(ctx context.Context, t letter.Template, expected int, at time.Time, by string) (letter.Template, error)
	Template(ctx context.Context, name string) (letter.Template, error)
	Templates(ctx context.Context, after string, limit int) ([]letter.Template, error)
	DeleteTemplate(ctx context.Context, name string, at time.Time, by string, match func(letter.Template) error) error
	RulesWithTemplate(ctx context.Context, name string) ([]string, error)
}

// UserList lists users.
type UserList interface {
	Users(ctx context.Context, limit int) ([]user.User, error)
}

// mostNames bounds the names of a kind that rules are checked against.
const mostNames = 10_000

// actionTypes are the types of actions, which refuse queues, channels, templates
// and users that do not exist, and exchanges that are our own. What existed when a rule was saved may be gone
// when it acts: that is then said of the notification.
func (s *Server) actionTypes(ctx context.Context) (action.Table, error) {
	templates, err := s.templates.Templates(ctx, "", mostNames)
	if err != nil {
		return action.Table{}, err
	}
	users, err := s.people.Users(ctx, mostNames)
	if err != nil {
		return action.Table{}, err
	}
	known := action.Known{
		action.KindQueue:    s.topology.DispatchQueues(),
		action.KindChannel:  s.channels.Names(),
		action.KindTemplate: make([]string, len(templates)),
		action.KindUser:     make([]string, len(users)),

		action.KindInnerExchange: s.topology.InnerExchanges(),
	}
	for i, t := range templates {
		known[action.KindTemplate][i] = t.Name
	}
	for i, u := range users {
		known[action.KindUser][i] = u.ID
	}
	return builtin.Table().Knowing(known), nil
}

// validate names everything that is wrong with a rule.
func (s *Server) validate(ctx context.Context, r rule.Rule) error {
	types, err := s.actionTypes(ctx)
	if err != nil {
		return err
	}
	return r.Validate(types)
}

// validateNew validates a rule that is to be created.
func (s *Server) validateNew(ctx context.Context, r rule.Rule) error {
	err := s.validate(ctx, r)
	if !slices.Contains(s.namesUnderRules(), r.ID) {
		return err
	}
	wrong := &rule.ValidationError{}
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	wrong.Problems = append(wrong.Problems, rule.Problem{Pointer: "/rule_id", Message: notItsPath})
	return wrong
}

// notItsPath: no rule has an id that is a name under /rules/, since nobody could
// read it there. Those that have one keep it, and can be changed and deleted.
const notItsPath = "is another path of the API, by which the rule could not be read"

// namesUnderRules are the names of the routes beside /rules/:rule_id.
func (s *Server) namesUnderRules() (names []string) {
	for _, r := range s.routes() {
		if name, found := strings.CutPrefix(r.path, "/rules/"); found && !strings.ContainsAny(name, "/:") {
			names = append(names, name)
		}
	}
	return names
}
