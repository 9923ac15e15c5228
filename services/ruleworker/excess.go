package ruleworker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Disabler is where rules are disabled that exceeded their budget too often.
type Disabler interface {
	DisableExcessive(ctx context.Context, at time.Time, by string, ids []string) ([]rule.Rule, error)
}

// disableExcessive disables the rules for which the committed batches were too
// much. An error is only said: the next event that exceeds asks again, and one
// that never comes costs nothing.
func (w *Worker) disableExcessive(ctx context.Context, committed []decision.Batch) {
	ids := decision.ExcessesOf(committed)
	if len(ids) == 0 {
		return
	}
	for _, b := range committed {
		w.Metrics.exceeded.Add(float64(len(b.Excesses)))
	}
	disabled, err := w.Disabler.DisableExcessive(ctx, w.Now(), decision.Source, ids)
	if err != nil {
		w.Log.Warn("rules over their budget not disabled, the next event asks again", zap.Strings("rules", ids), zap.Error(err))
	}
	for _, r := range disabled {
		w.Log.Error("rule disabled: it exceeded its budget too often", zap.String(telemetry.FieldRule, r.ID), zap.String("rule", r.Name), zap.Int("version", r.Version))
		w.tellOthers(ctx, r.ID)
	}
}

// tellOthers says that a rule has changed; who misses it finds out by the poll.
func (w *Worker) tellOthers(ctx context.Context, ruleID string) {
	w.Rules.Changed()
	hint, err := w.Topology.Control().Encode(topology.Control{Kind: topology.KeyRulesChanged, ID: ruleID})
	if err == nil {
		err = w.Publisher.Publish(ctx, hint)
	}
	if err != nil {
		w.Log.Warn("other workers not told of a disabled rule, they will see it at their next poll", zap.Error(err))
	}
}
