package ruleworker

import (
	"sync"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// holder holds notifications back for what needs no memory: silences, and the
// rules' mute times. What rules remember (hours, throttles, groups) is asked in
// the deciding transaction.
type holder struct {
	silences *Silences
	log      *zap.Logger

	mu    sync.Mutex
	mutes map[ruleVersion]rule.MuteTimes
}

type ruleVersion struct {
	id      string
	version int
}

// mutesKept bounds the prepared mute times; beyond it all are prepared again.
const mutesKept = 10_000

func newHolder(silences *Silences, log *zap.Logger) *holder {
	return &holder{silences: silences, log: log, mutes: map[ruleVersion]rule.MuteTimes{}}
}

// hold suppresses what is silenced or muted at the time of its decision.
func (h *holder) hold(owed []decision.Owed) {
	decision.Quiet(owed, h.silences.Current(), h.times)
}

// mute suppresses what is muted at the time of its decision.
func (h *holder) mute(owed []decision.Owed) {
	decision.Mute(owed, h.times)
}

// times are a rule's mute times. Those that cannot be prepared (saved by a newer
// version) mute nothing: heard too often is better than never.
func (h *holder) times(r *rule.Rule) rule.MuteTimes {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := ruleVersion{r.ID, r.Version}
	times, ok := h.mutes[key]
	if ok {
		return times
	}
	times, err := rule.NewMuteTimes(r.Mute)
	if err != nil {
		h.log.Error("rule's mute times left out", zap.String("rule_id", r.ID), zap.Error(err))
	}
	if len(h.mutes) >= mutesKept {
		clear(h.mutes)
	}
	h.mutes[key] = times
	return times
}
