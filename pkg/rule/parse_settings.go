package rule

import (
	"strconv"
	"strings"

	"github.com/events-aggregator/events-aggregator/pkg/rule/interval"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// setting is one name that an object may have.
type setting struct {
	key  string
	read func(t *tree, at *place)
}

// object reads an object of settings; what is none of them is a mistake.
func (n *notes) object(t *tree, at *place, settings ...setting) {
	if t.kind != treeObject {
		n.add(t.line, at, "must be an object")
		return
	}
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.key
	}
next:
	for i, key := range t.keys {
		for _, s := range settings {
			if s.key == key {
				s.read(t.kids[i], at.in(key))
				continue next
			}
		}
		if ours, ok := elastAlertNames[key]; ok {
			n.add(t.kids[i].line, at.in(key), "ElastAlert's %s is called %s here", key, ours)
			continue
		}
		n.unknown(t.kids[i].line, at.in(key), key, names)
	}
}

// elastAlertNames are what users of ElastAlert 2 write, and our names.
var elastAlertNames = map[string]string{
	"type": "kind", "query_key": "group_by", "compare_key": "field", "fields": "field", "cardinality_field": "field",
	"terms_window_size": "terms_window", "max_cardinality": "max", "min_cardinality": "min",
	"max_percentage": "max", "min_percentage": "min", "match_bucket_filter": "match",
	"realert": "for", "exponential_realert": "max", "aggregation": "wait", "aggregation_key": "by",
	"group_wait": "wait", "group_interval": "interval", "repeat_interval": "repeat", "group_by": "by",
	"minutes": "a text such as 5m", "hours": "a text such as 2h", "seconds": "a text such as 30s", "days": "a text such as 7d",
}

// A few shapes of settings.

func (n *notes) textSetting(key string, to *string) setting {
	return setting{key, func(t *tree, at *place) { n.text(t, at, to) }}
}

func (n *notes) wholeSetting(key string, to *int) setting {
	return setting{key, func(t *tree, at *place) { n.whole(t, at, to) }}
}

func (n *notes) truthSetting(key string, to *bool) setting {
	return setting{key, func(t *tree, at *place) { n.truth(t, at, to) }}
}

func (n *notes) durationSetting(key string, to *interval.Duration) setting {
	return setting{key, func(t *tree, at *place) { n.duration(t, at, to) }}
}

func (n *notes) numberSetting(key string, to *float64) setting {
	return setting{key, func(t *tree, at *place) { n.decimal(t, at, to) }}
}

func (n *notes) textsSetting(key string, to *[]string) setting {
	return setting{key, func(t *tree, at *place) { n.texts(t, at, to) }}
}

func (n *notes) duration(t *tree, at *place, to *interval.Duration) {
	if t.kind != treeText {
		n.add(t.line, at, "must be a length of time as text: 30s, 5m, 2h, 7d")
		return
	}
	d, err := interval.Parse(t.text)
	if err != nil {
		n.add(t.line, at, "%s", err)
		return
	}
	*to = d
}

func (n *notes) decimal(t *tree, at *place, to *float64) {
	switch {
	case t.kind == treeNumber && t.whole:
		*to = float64(t.i)
	case t.kind == treeNumber:
		*to = t.f
	default:
		n.add(t.line, at, "must be a number")
	}
}

// texts reads a list of texts; one text alone is a list of one.
func (n *notes) texts(t *tree, at *place, to *[]string) {
	if t.kind == treeText {
		*to = []string{t.text}
		return
	}
	if t.kind != treeList {
		n.add(t.line, at, "must be a list of texts")
		return
	}
	list := make([]string, len(t.kids))
	for i, kid := range t.kids {
		n.text(kid, at.at(i), &list[i])
	}
	*to = list
}

func (n *notes) window(t *tree, at *place) *window.Spec {
	w := &window.Spec{}
	n.object(t, at,
		n.textSetting("kind", &w.Kind),
		n.textsSetting("group_by", &w.GroupBy),
		n.durationSetting("timeframe", &w.Timeframe),
		setting{"settle", func(t *tree, at *place) { w.Settle = new(interval.Duration); n.duration(t, at, w.Settle) }},
		n.wholeSetting("num_events", &w.NumEvents),
		n.numberSetting("spike_height", &w.SpikeHeight),
		n.textSetting("spike_type", &w.SpikeType),
		n.wholeSetting("threshold_ref", &w.ThresholdRef),
		n.wholeSetting("threshold_cur", &w.ThresholdCur),
		n.wholeSetting("threshold", &w.Threshold),
		n.truthSetting("forget_keys", &w.ForgetKeys),
		n.textSetting("field", &w.Field),
		n.durationSetting("terms_window", &w.TermsWindow),
		n.truthSetting("ignore_null", &w.IgnoreNull),
		setting{"match", func(t *tree, at *place) { w.Match = n.conditions(t, at) }},
		setting{"min", func(t *tree, at *place) { w.Min = new(float64); n.decimal(t, at, w.Min) }},
		setting{"max", func(t *tree, at *place) { w.Max = new(float64); n.decimal(t, at, w.Max) }},
		n.wholeSetting("min_denominator", &w.MinDenominator),
	)
	return w
}

func (n *notes) throttle(t *tree, at *place) *Throttle {
	h := &Throttle{}
	n.object(t, at, n.textsSetting("per", &h.Per), n.durationSetting("for", &h.For), n.durationSetting("max", &h.Max))
	return h
}

func (n *notes) group(t *tree, at *place) *Group {
	g := &Group{Wait: groupWait, Interval: groupInterval, Repeat: groupRepeat}
	n.object(t, at,
		n.textsSetting("by", &g.By),
		n.durationSetting("wait", &g.Wait),
		n.durationSetting("interval", &g.Interval),
		n.durationSetting("repeat", &g.Repeat),
		n.textsSetting("identity", &g.Identity),
	)
	return g
}

func (n *notes) mute(t *tree, at *place) []Mute {
	if t.kind != treeList {
		n.add(t.line, at, "must be a list")
		return nil
	}
	all := make([]Mute, len(t.kids))
	for i, kid := range t.kids {
		m := &all[i]
		n.object(kid, at.in(strconv.Itoa(i)),
			setting{"days", func(t *tree, at *place) {
				n.texts(t, at, &m.Days)
				for i, d := range m.Days {
					m.Days[i] = strings.ToLower(d)
				}
			}},
			n.textSetting("from", &m.From), n.textSetting("to", &m.To), n.textSetting("time_zone", &m.TimeZone),
		)
	}
	return all
}
