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
	"github.com/events-aggregator/events-aggregator/pkg/store"
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

func (s sealedRules) RuleVersions(ctx context.Context, id string, before, limit int) ([]store.RuleVersion, error) {
	versions, err := s.store.RuleVersions(ctx, id, before, limit)
	for i := range versions {
		versions[i].Rule = s.opened(versions[i].Rule)
	}
	return versions, err
}

func (s sealedRules) RuleVersion(ctx context.Context, id string, version int) (store.RuleVersion, error) {
	v, err := s.store.RuleVersion(ctx, id, version)
	v.Rule = s.opened(v.Rule)
	return v, err
}

func (s sealedRules) RuleVersionByStamp(ctx context.Context, id string, stamp int64) (store.RuleVersion, error) {
	v, err := s.store.RuleVersionByStamp(ctx, id, stamp)
	v.Rule = s.opened(v.Rule)
	return v, err
}

func (s sealedRules) Rule(ctx context.Context, id string) (rule.Rule, error) {
	r, err := s.store.Rule(ctx, id)
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

func (s sealedRules) RollBackRule(ctx context.Context, r rule.Rule, to, expected int) (rule.Rule, error) {
	r, err := s.sealed(r)
	if err == nil {
		r, err = s.store.RollBackRule(ctx, r, to, expected)
	}
	return s.opened(r), err
}

// storedRule is a rule as it is stored. One that is not sealed as it would be
// now must be saved again even if nothing else changed: importing all rules once
// more is how a key is replaced.
type storedRule struct {
	rule.Rule
	current bool
}

func (s sealedRules) RulesBy(ctx context.Context, ids, names []string) ([]storedRule, error) {
	rules, err := s.store.RulesBy(ctx, ids, names)
	all := make([]storedRule, len(rules))
	for i, r := range rules {
		all[i] = storedRule{s.opened(r), s.current(r)}
	}
	return all, err
}

func (s sealedRules) SaveRules(ctx context.Context, at time.Time, by string, created, changed []rule.Rule) error {
	for _, list := range []*[]rule.Rule{&created, &changed} {
		all := make([]rule.Rule, len(*list))
		for i, r := range *list {
			var err error
			if all[i], err = s.sealed(r); err != nil {
				return err
			}
		}
		*list = all
	}
	return s.store.SaveRules(ctx, at, by, created, changed)
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
