// Package window is the rules that look at more than one event: how often, how
// many different, whether at all. The collection of events is their only state.
package window

import (
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
)

// Spec is a rule's `window`. Which of its settings a kind uses is in Kinds; the
// names and defaults are those of ElastAlert 2 where it has them.
type Spec struct {
	Kind      string            `bson:"kind" json:"kind"`
	GroupBy   []string          `bson:"group_by,omitempty" json:"group_by,omitempty"` // paths; each combination of values has windows of its own
	Timeframe interval.Duration `bson:"timeframe,omitempty" json:"timeframe,omitempty"`
	// Settle is how long after its end a window that a late event can still
	// change is decided; nil is SettleDefault.
	Settle *interval.Duration `bson:"settle,omitempty" json:"settle,omitempty"`

	NumEvents int `bson:"num_events,omitempty" json:"num_events,omitempty"` // frequency

	SpikeHeight  float64 `bson:"spike_height,omitempty" json:"spike_height,omitempty"`
	SpikeType    string  `bson:"spike_type,omitempty" json:"spike_type,omitempty"` // up, down, both
	ThresholdRef int     `bson:"threshold_ref,omitempty" json:"threshold_ref,omitempty"`
	ThresholdCur int     `bson:"threshold_cur,omitempty" json:"threshold_cur,omitempty"`

	Threshold  int  `bson:"threshold,omitempty" json:"threshold,omitempty"` // flatline
	ForgetKeys bool `bson:"forget_keys,omitempty" json:"forget_keys,omitempty"`

	Field       string            `bson:"field,omitempty" json:"field,omitempty"` // new_term, cardinality, change
	TermsWindow interval.Duration `bson:"terms_window,omitempty" json:"terms_window,omitempty"`
	IgnoreNull  bool              `bson:"ignore_null,omitempty" json:"ignore_null,omitempty"`

	Match          bson.Raw `bson:"match,omitempty" json:"-"`           // percentage: a condition
	Min            *float64 `bson:"min,omitempty" json:"min,omitempty"` // percentage, cardinality
	Max            *float64 `bson:"max,omitempty" json:"max,omitempty"`
	MinDenominator int      `bson:"min_denominator,omitempty" json:"min_denominator,omitempty"`
}
