package ctl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

func (t *tool) secrets() *cobra.Command {
	return group("secrets", "Look after the encryption of actions' secrets", t.secretsRotate())
}

// rotation is what a rotation came to, by what was stored.
type rotation struct {
	Rules         int      `json:"rules"`
	RuleVersions  int      `json:"rule_versions"`
	Notifications int      `json:"notifications"`
	Unreadable    int      `json:"unreadable"` // sealed values' configurations that no key opens
	UnknownKeys   []string `json:"unknown_keys"`
	LeftOut       []string `json:"left_out"` // documents that cannot be read, by collection and id
	DryRun        bool     `json:"dry_run"`
}

func (r rotation) changed() int { return r.Rules + r.RuleVersions + r.Notifications }

const (
	// rotationPasses bounds how often a collection is looked at again, in which
	// somebody wrote meanwhile.
	rotationPasses = 5
	// reloadWait is how long rule-workers may take to read the rules again: they
	// look every 15 s.
	reloadWait = 40 * time.Second
	reloadLook = 200 * time.Millisecond
	// decidedWithin is how old the notification of a match can be when it is stored:
	// a decision has the rules and the time of its beginning, and is tried again for 90 s.
	decidedWithin = 2 * time.Minute
	// leftOutNamed of the documents that cannot be read are in the error.
	leftOutNamed = 10
)

// secretsRotate encrypts everything that is stored with the key that is now
// EA_SECRET_KEY. It goes to the database itself, as the key does not leave the
// machine that it is on.
func (t *tool) secretsRotate() *cobra.Command {
	var dry bool
	c := &cobra.Command{Use: "rotate", Short: "Encrypt all stored secrets with the present EA_SECRET_KEY", Args: exactly(0, "only flags"),
		Long: `Encrypt the secrets of rules, their versions and notifications with the present EA_SECRET_KEY: those that
are encrypted with EA_SECRET_KEY_OLD, and those that are not encrypted at all.

1. Set EA_SECRET_KEY to the new key and EA_SECRET_KEY_OLD to the present one, for api and action-dispatcher, and restart them.
2. Run this with the same two variables. The product goes on meanwhile. Interrupted, it is run again and finishes the job.
3. Take EA_SECRET_KEY_OLD away. What is still on its way in RabbitMQ, also as a dead letter, is delivered with the secrets of its record.
   A match that took minutes to be stored meanwhile waits for the old key, at no cost, and action-dispatcher says so: run this once more.`,
		Example: `  EA_SECRET_KEY_FILE=new.key EA_SECRET_KEY_OLD_FILE=present.key eactl secrets rotate --dry-run
  EA_SECRET_KEY_FILE=new.key EA_SECRET_KEY_OLD_FILE=present.key eactl secrets rotate`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.config()
			if err != nil {
				return err
			}
			keys, err := seal.New(c.SecretKey, c.SecretKeyOld)
			if err != nil {
				return err
			}
			if !keys.HasCurrent() {
				return &usageError{errors.New("EA_SECRET_KEY is not set: it is the key to encrypt with, and EA_SECRET_KEY_OLD the one before it")}
			}
			return t.withStore(cmd.Context(), func(s *store.Store) error {
				r, err := rotate(cmd.Context(), s, keys, dry)
				if err != nil {
					return fmt.Errorf("%w\nNothing is lost: what is done is done, run it again to finish", err)
				}
				r.LeftOut = append([]string{}, t.leftOut...)
				if err := t.print(r, func() error { return t.sayRotation(r) }); err != nil {
					return err
				}
				if r.Unreadable > 0 {
					return fmt.Errorf("%d stored actions are encrypted with keys that are neither EA_SECRET_KEY nor EA_SECRET_KEY_OLD (%s): run it again with EA_SECRET_KEY_OLD set to each",
						r.Unreadable, strings.Join(r.UnknownKeys, ", "))
				}
				if len(r.LeftOut) > 0 {
					return fmt.Errorf("%d documents cannot be read and are as they were (%s): mend them, or remove them, and run it again",
						len(r.LeftOut), strings.Join(r.LeftOut[:min(len(r.LeftOut), leftOutNamed)], ", "))
				}
				return nil
			})
		}}
	c.Flags().BoolVar(&dry, "dry-run", false, "only count what would be encrypted anew")
	return c
}

func (t *tool) sayRotation(r rotation) error {
	w := t.rows("stored in", "encrypted anew")
	for _, row := range []struct {
		name string
		n    int
	}{{"rules", r.Rules}, {"rule_versions", r.RuleVersions}, {"notifications", r.Notifications}} {
		w.AppendRow([]any{row.name, row.n})
	}
	w.Render()
	switch {
	case r.DryRun:
		_, err := fmt.Fprintln(t.out, "Nothing was changed: this was a dry run.")
		return err
	case r.Unreadable > 0 || len(r.LeftOut) > 0: // why is said by the error
		return nil
	case r.changed() == 0:
		_, err := fmt.Fprintln(t.out, "Everything is encrypted with EA_SECRET_KEY already; EA_SECRET_KEY_OLD is not needed any more.")
		return err
	default:
		_, err := fmt.Fprintln(t.out, "EA_SECRET_KEY_OLD is not needed any more, once api and action-dispatcher have EA_SECRET_KEY.")
		return err
	}
}

// rotate renews rules and their versions until there is nothing left to do, and
// notifications when every rule-worker has read the rules again: those of matches
// that were under way meanwhile are looked at once more.
func rotate(ctx context.Context, s *store.Store, keys *seal.Keys, dry bool) (r rotation, err error) {
	r.DryRun, r.UnknownKeys = dry, []string{}
	renew := func(kind string, config bson.Raw) (bson.Raw, bool) {
		known, ok := builtin.Table().Lookup(kind)
		if !ok {
			return config, false // of a newer version, which has its own eactl
		}
		renewed, changed, err := keys.Renew(known, config)
		if err != nil {
			r.Unreadable++
			r.unknownKey(err)
		}
		return renewed, changed
	}
	begun := time.Now().UTC()
	err = r.repeat(nothingFound, &r.Rules, "rules", func() (store.Renewed, error) { return s.RenewRules(ctx, renew, dry) })
	if err != nil {
		return r, err
	}
	err = r.repeat(nothingFound, &r.RuleVersions, "rules' versions", func() (store.Renewed, error) { return s.RenewRuleVersions(ctx, renew, dry) })
	if err != nil {
		return r, err
	}
	if !dry {
		if err := rulesRead(ctx, s); err != nil {
			return r, err
		}
	}
	notifications := func(since time.Time) func() (store.Renewed, error) {
		return func() (store.Renewed, error) { return s.RenewNotifications(ctx, since, renew, dry) }
	}
	if err := r.repeat(allChanged, &r.Notifications, "notifications", notifications(time.Time{})); err != nil || dry {
		return r, err
	}
	unreadable := r.Unreadable
	err = r.repeat(nothingFound, &r.Notifications, "notifications", notifications(begun.Add(-decidedWithin)))
	if unreadable > 0 {
		r.Unreadable = unreadable // most of these were counted
	}
	if err != nil {
		return r, err
	}
	if r.changed() == 0 {
		return r, nil
	}
	return r, s.NoteRotation(ctx, time.Now().UTC().Truncate(time.Millisecond), "eactl", bson.D{{Key: "rules", Value: r.Rules},
		{Key: "rule_versions", Value: r.RuleVersions}, {Key: "notifications", Value: r.Notifications}})
}

// When going through a collection is enough.
func nothingFound(n store.Renewed) bool { return n.Found == 0 }
func allChanged(n store.Renewed) bool   { return n.Found == n.Changed }

// repeat goes through a collection until that is enough, since others write
// meanwhile, and adds to a count what it changed, or would change.
func (r *rotation) repeat(enough func(store.Renewed) bool, count *int, what string, renew func() (store.Renewed, error)) error {
	unreadable, unknown := r.Unreadable, len(r.UnknownKeys)
	for range rotationPasses {
		r.Unreadable, r.UnknownKeys = unreadable, r.UnknownKeys[:unknown] // they are counted again
		n, err := renew()
		if *count += n.Changed; err != nil {
			return err
		}
		if r.DryRun {
			*count += n.Found
			return nil
		}
		if enough(n) {
			return nil
		}
	}
	return fmt.Errorf("%s are written under another key all the time: an api still has the key before as EA_SECRET_KEY, or another rotation runs", what)
}

func (r *rotation) unknownKey(err error) {
	var missing *seal.MissingKeyError
	id := "damaged"
	if errors.As(err, &missing) {
		id = missing.KeyID
	}
	if !slices.Contains(r.UnknownKeys, id) {
		r.UnknownKeys = append(r.UnknownKeys, id)
	}
}

// rulesRead waits until every rule-worker that lives has read the rules as they
// are now.
func rulesRead(ctx context.Context, s *store.Store) error {
	stamp, err := s.RulesStamp(ctx)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(reloadWait)
	ticker := time.NewTicker(reloadLook)
	defer ticker.Stop()
	for {
		workers, err := s.RuleHoldings(ctx)
		if err != nil {
			return err
		}
		late := ""
		for _, w := range workers {
			if w.Stamp < stamp && !w.Silent(time.Now()) {
				late = w.Worker
			}
		}
		switch {
		case late == "":
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("rule-worker %s has not read the rules again within %s", late, reloadWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
