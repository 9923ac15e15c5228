package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is one thing that can be set: its name, its documentation, its default,
// and how a value reaches the typed field and comes back.
type key struct {
	name    string // section.key
	section string // the section's comment, on its first key
	doc     string
	want    string // completes "expected …"
	limits  string // what default.yaml says in brackets
	preset  value
	masked  bool // the value may hold a secret
	allow   func(string) bool
	set     func(value) error
	get     func() value
}

// env is the environment variable of the key.
func (k *key) env() string {
	return "EA_" + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// secret keeps the value out of every text, and lets EA_…_FILE name a file
// that holds it.
func (k *key) secret() *key { k.masked = true; return k }

// require narrows a text.
func (k *key) require(want string, allow func(string) bool) *key {
	k.want, k.allow = want, allow
	return k
}

// show is the value as it may be printed.
func (k *key) show(v value) value {
	if k.masked && v.text != "" && v.text != k.preset.text { // a default is no secret
		return text(mask(v.text))
	}
	if k.masked && v.kind == mapping {
		shown := value{kind: mapping}
		for _, p := range v.pairs {
			shown.pairs = append(shown.pairs, pair{p.name, maskURL(p.text)})
		}
		return shown
	}
	return v
}

// registry collects the keys of the sections.
type registry struct {
	all     []*key
	prefix  string
	pending string
}

func (r *registry) section(name, doc string, keys func(*registry)) {
	r.prefix, r.pending = name+".", doc
	keys(r)
	r.prefix, r.pending = "", ""
}

func (r *registry) add(k *key) *key {
	k.name, k.section, r.pending = r.prefix+k.name, r.pending, ""
	r.all = append(r.all, k)
	return k
}

func (r *registry) text(name string, field *string, preset, doc string) *key {
	k := &key{name: name, doc: doc, want: "a text", preset: text(preset)}
	k.set = func(v value) error {
		s, ok := v.asText()
		if !ok || k.allow != nil && !k.allow(s) {
			return k.expected()
		}
		*field = s
		return nil
	}
	k.get = func() value { return text(*field) }
	return r.add(k)
}

func (r *registry) choice(name string, field *string, preset string, options []string, doc string) {
	r.text(name, field, preset, doc).require("one of "+strings.Join(options, ", "), func(s string) bool {
		return slices.Contains(options, s)
	}).limits = strings.Join(options, ", ")
}

func (r *registry) integer(name string, field *int, preset, low, high int, doc string) {
	r.number(name, field, preset, low, high, doc, "a whole number from %s to %s", strconv.Atoi, strconv.Itoa)
}

func (r *registry) bytes(name string, field *int, preset, low, high int, doc string) {
	r.number(name, field, preset, low, high, doc,
		"a size from %s to %s, as 65536 or 64KiB", parseBytes, formatBytes)
}

func (r *registry) number(name string, field *int, preset, low, high int, doc, want string,
	parse func(string) (int, error), format func(int) string,
) {
	k := &key{
		name: name, doc: doc, preset: text(format(preset)),
		want: fmt.Sprintf(want, format(low), format(high)), limits: format(low) + " to " + format(high),
	}
	k.set = func(v value) error {
		s, ok := v.asText()
		n, err := parse(s)
		if !ok || err != nil || n < low || n > high {
			return k.expected()
		}
		*field = n
		return nil
	}
	k.get = func() value { return text(format(*field)) }
	r.add(k)
}

func (r *registry) duration(name string, field *time.Duration, preset, low, high time.Duration, doc string) {
	k := &key{
		name: name, doc: doc, preset: text(formatDuration(preset)),
		want: durationRange(low, high), limits: durationLimits(low, high),
	}
	k.set = func(v value) error {
		s, ok := v.asText()
		d, err := parseDuration(s, low, high)
		if !ok || err != nil {
			return k.expected()
		}
		*field = d
		return nil
	}
	k.get = func() value { return text(formatDuration(*field)) }
	r.add(k)
}

func (r *registry) durationList(name string, field *[]time.Duration, preset []time.Duration, low, high time.Duration, doc string) {
	k := &key{
		name: name, doc: doc, preset: durationItems(preset),
		want: "a list, each " + durationRange(low, high), limits: durationLimits(low, high),
	}
	k.set = func(v value) error {
		items, ok := v.asList()
		if !ok {
			return k.expected()
		}
		out := make([]time.Duration, 0, len(items))
		for _, item := range items {
			d, err := parseDuration(item, low, high)
			if err != nil {
				return k.expectedOf(item)
			}
			out = append(out, d)
		}
		*field = out
		return nil
	}
	k.get = func() value { return durationItems(*field) }
	r.add(k)
}

// texts is a list of texts of one form.
func (r *registry) texts(name string, field *[]string, doc, want string, allow func(string) bool) {
	k := &key{name: name, doc: doc, want: want, preset: value{kind: list}}
	k.set = func(v value) error {
		items, ok := v.asList()
		if !ok {
			return k.expected()
		}
		for _, item := range items {
			if !allow(item) {
				return k.expectedOf(item)
			}
		}
		*field = items
		return nil
	}
	k.get = func() value { return value{kind: list, items: *field} }
	r.add(k)
}

func (r *registry) networks(name string, field *[]netip.Prefix, doc string) {
	k := &key{name: name, doc: doc, want: "a list of networks, as 10.1.0.0/16 or ::1/128", preset: value{kind: list}}
	k.set = func(v value) error {
		items, ok := v.asList()
		if !ok {
			return k.expected()
		}
		out := make([]netip.Prefix, 0, len(items))
		for _, item := range items {
			p, err := netip.ParsePrefix(item)
			if err != nil {
				return k.expectedOf(item)
			}
			out = append(out, p.Masked())
		}
		*field = out
		return nil
	}
	k.get = func() value {
		v := value{kind: list}
		for _, p := range *field {
			v.items = append(v.items, p.String())
		}
		return v
	}
	r.add(k)
}

func (r *registry) durations(name string, field *map[string]time.Duration, preset map[string]time.Duration,
	low, high time.Duration, doc, names string, allow func(string) bool,
) {
	get := func(m map[string]time.Duration) value {
		v := value{kind: mapping}
		for _, n := range sortedKeys(m) {
			v.pairs = append(v.pairs, pair{n, formatDuration(m[n])})
		}
		return v
	}
	k := &key{
		name: name, doc: doc, preset: get(preset),
		want: names + ", each with " + durationRange(low, high), limits: durationLimits(low, high),
	}
	k.set = func(v value) error {
		pairs, ok := v.asPairs()
		if !ok {
			return k.expected()
		}
		out := map[string]time.Duration{}
		for _, p := range pairs {
			d, err := parseDuration(p.text, low, high)
			if err != nil || !allow(p.name) {
				return k.expectedOf(p.name + ": " + p.text)
			}
			out[p.name] = d
		}
		*field = out
		return nil
	}
	k.get = func() value { return get(*field) }
	r.add(k)
}

// schedules maps names to waits, which are separated by +.
func (r *registry) schedules(name string, field *map[string][]time.Duration, doc, names string, low, high time.Duration) {
	k := &key{name: name, doc: doc, preset: value{kind: mapping}, want: names, limits: durationLimits(low, high)}
	k.set = func(v value) error {
		pairs, ok := v.asPairs()
		if !ok {
			return k.expected()
		}
		out := map[string][]time.Duration{}
		for _, p := range pairs {
			var waits []time.Duration
			for item := range strings.SplitSeq(p.text, "+") {
				d, err := parseDuration(strings.TrimSpace(item), low, high)
				if err != nil {
					return k.expectedOf(p.name + ": " + p.text)
				}
				waits = append(waits, d)
			}
			out[p.name] = waits
		}
		*field = out
		return nil
	}
	k.get = func() value {
		v := value{kind: mapping}
		for _, n := range sortedKeys(*field) {
			v.pairs = append(v.pairs, pair{n, strings.Join(durationItems((*field)[n]).items, "+")})
		}
		return v
	}
	r.add(k)
}

// secrets maps names to URLs that hold secrets; both are shown masked.
func (r *registry) secrets(name string, field *map[string]string, doc, names string, allow func(name, url string) bool) {
	k := &key{name: name, doc: doc, preset: value{kind: mapping}, want: names}
	k.set = func(v value) error {
		pairs, ok := v.asPairs()
		if !ok {
			return k.expected()
		}
		out := map[string]string{}
		for _, p := range pairs {
			if !allow(p.name, p.text) {
				return k.expectedOf(p.name)
			}
			out[p.name] = p.text
		}
		*field = out
		return nil
	}
	k.get = func() value {
		v := value{kind: mapping}
		for _, n := range sortedKeys(*field) {
			v.pairs = append(v.pairs, pair{n, (*field)[n]})
		}
		return v
	}
	k.secret()
	r.add(k)
}

// queues differs from the other mappings in that what is set is laid over the
// default: naming one more queue must not take the standard ones away.
func (r *registry) queues(name string, field *map[string]Queue, preset map[string]Queue,
	low, high int, doc, names string, allow func(string) bool,
) {
	get := func(m map[string]Queue) value {
		v := value{kind: mapping}
		for _, n := range sortedKeys(m) {
			v.pairs = append(v.pairs, pair{n, strconv.Itoa(m[n].Concurrency)})
		}
		return v
	}
	k := &key{
		name: name, doc: doc, preset: get(preset),
		want: fmt.Sprintf("%s, each with a whole number from %d to %d", names, low, high), limits: fmt.Sprintf("%d to %d", low, high),
	}
	k.set = func(v value) error {
		pairs, ok := v.asPairs()
		if !ok {
			return k.expected()
		}
		out := map[string]Queue{}
		for n, q := range preset {
			out[n] = q
		}
		for _, p := range pairs {
			n, err := strconv.Atoi(p.text)
			if err != nil || n < low || n > high || !allow(p.name) {
				return k.expectedOf(p.name + ": " + p.text)
			}
			out[p.name] = Queue{Concurrency: n}
		}
		*field = out
		return nil
	}
	k.get = func() value { return get(*field) }
	r.add(k)
}

func (k *key) expected() error { return fmt.Errorf("expected %s", k.want) }

func (k *key) expectedOf(item string) error { return fmt.Errorf("%q: expected %s", item, k.want) }

func durationItems(ds []time.Duration) value {
	v := value{kind: list}
	for _, d := range ds {
		v.items = append(v.items, formatDuration(d))
	}
	return v
}

func durationRange(low, high time.Duration) string {
	return "a duration from " + durationLimits(low, high) + ", as 500ms, 10s or 1h30m"
}

func durationLimits(low, high time.Duration) string {
	return formatDuration(low) + " to " + formatDuration(high)
}

func parseDuration(s string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && (d < low || d > high) {
		err = fmt.Errorf("%s is out of range", s)
	}
	return d, err
}
