package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// sealedRules keeps the secrets of rules' actions encrypted: sealed on the way
// into the store, opened on the way out as far as the keys go.
type sealedRules struct {
	store RuleStore
	keys  *seal.Keys
}

// opened is a copy with its secrets in the clear; what the keys do not open
// stays sealed.
func (s sealedRules) opened(r rule.Rule) rule.Rule {
	r.Actions = slices.Clone(r.Actions)
	for i := range r.Actions {
		r.Actions[i].Config, _ = s.keys.Open(r.Actions[i].Config)
	}
	return r
}

// sealed is a copy with its secrets encrypted.
func (s sealedRules) sealed(r rule.Rule) (rule.Rule, error) {
	r.Actions = slices.Clone(r.Actions)
	for i := range r.Actions {
		a := &r.Actions[i]
		kind, known := builtin.Table().Lookup(a.Type)
		if !known {
			continue
		}
		var err error
		if a.Config, err = s.keys.Seal(kind, a.Config); err != nil {
			return r, err
		}
	}
	return r, nil
}

// current says whether the stored rule is sealed as it would be now.
func (s sealedRules) current(stored rule.Rule) bool {
	for _, a := range stored.Actions {
		kind, known := builtin.Table().Lookup(a.Type)
		if known && !s.keys.Current(kind, a.Config) {
			return false
		}
	}
	return true
}

func (s sealedRules) all(rules []rule.Rule, err error) ([]rule.Rule, error) {
	for i := range rules {
		rules[i] = s.opened(rules[i])
	}
	return rules, err
}

func (s sealedRules) Rules(ctx context.Context, after string, limit int) ([]rule.Rule, error) {
	return s.all(s.store.Rules(ctx, after, limit))
}

func (s sealedRules) RuleVersions(ctx context.Context, id string, limit int) ([]rule.Rule, error) {
	return s.all(s.store.RuleVersions(ctx, id, limit))
}

func (s sealedRules) Rule(ctx context.Context, id string) (rule.Rule, error) {
	r, err := s.store.Rule(ctx, id)
	return s.opened(r), err
}

func (s sealedRules) RuleByName(ctx context.Context, name string) (rule.Rule, error) {
	r, err := s.store.RuleByName(ctx, name)
	return s.opened(r), err
}

func (s sealedRules) CreateRule(ctx context.Context, r rule.Rule) (rule.Rule, error) {
	r, err := s.sealed(r)
	if err == nil {
		r, err = s.store.CreateRule(ctx, r)
	}
	return s.opened(r), err
}

func (s sealedRules) ReplaceRule(ctx context.Context, r rule.Rule, expected int) (rule.Rule, error) {
	r, err := s.sealed(r)
	if err == nil {
		r, err = s.store.ReplaceRule(ctx, r, expected)
	}
	return s.opened(r), err
}

func (s sealedRules) DeleteRule(ctx context.Context, id string, expected int, at time.Time, by string) error {
	return s.store.DeleteRule(ctx, id, expected, at, by)
}

// ApplyRules also saves again what is not encrypted with the current key, so
// that applying all rules once more is how a key is replaced.
func (s sealedRules) ApplyRules(ctx context.Context, rules []rule.Rule, same func(stored, wanted rule.Rule) bool) (created, changed int, err error) {
	all := make([]rule.Rule, len(rules))
	for i, r := range rules {
		if all[i], err = s.sealed(r); err != nil {
			return 0, 0, err
		}
	}
	return s.store.ApplyRules(ctx, all, func(stored, wanted rule.Rule) bool {
		return s.current(stored) && same(s.opened(stored), s.opened(wanted))
	})
}

// withSecretsOf puts the stored rule's secrets in place of the masks. It refuses
// what only this package may write, and what it cannot restore.
func withSecretsOf(stored, r rule.Rule) (rule.Rule, error) {
	if err := refuseSealed(r); err != nil {
		return r, err
	}
	r = r.Restored(stored, builtin.Table())
	if anyConfig(stored, seal.Sealed) && (anyConfig(r, seal.Sealed) || anyConfig(r, seal.Masked)) {
		return r, problem(http.StatusServiceUnavailable, "secret_key_missing",
			"the stored rule's secrets are encrypted with a key that this api does not have; start it with EA_SECRET_KEY (or EA_SECRET_KEY_OLD) set to it, or send the secrets themselves instead of %s", action.Masked)
	}
	return r, nil
}

// refuseSealed: a value that looks encrypted would be sent out in the clear as
// whatever it opens to.
func refuseSealed(r rule.Rule) error {
	if anyConfig(r, seal.Sealed) {
		return problem(http.StatusUnprocessableEntity, "sealed_secret", "an action holds a value as it is stored encrypted; send the secret itself, or %s to keep the stored one", action.Masked)
	}
	return nil
}

func anyConfig(r rule.Rule, is func(bson.Raw) bool) bool {
	return slices.ContainsFunc(r.Actions, func(a rule.ActionSpec) bool { return is(a.Config) })
}

// showConfig is an action's configuration as it leaves the process.
func (s *Server) showConfig(kind string, config bson.Raw) (json.RawMessage, error) {
	t, known := builtin.Table().Lookup(kind)
	if !known || len(config) == 0 { // nobody knows which of its fields are secret
		return json.RawMessage("{}"), nil
	}
	opened, _ := s.keys.Open(config)
	return event.ToJSON(seal.Hide(t.Mask(opened)))
}
