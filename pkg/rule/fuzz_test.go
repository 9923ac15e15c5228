package rule_test

import (
	"bytes"
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/test/support/querygen"
)

// FuzzCompile: whatever the bytes, compiling ends without a panic, and what
// compiles can be matched, alone and in a set, with the same answer.
func FuzzCompile(f *testing.F) {
	g := querygen.New(1)
	for range 200 {
		f.Add([]byte(querygen.Marshal(g.Condition(2))), []byte(querygen.Marshal(g.Document(3))))
	}
	f.Fuzz(func(t *testing.T, condition, doc []byte) {
		cond, err := rule.Compile(condition)
		if err != nil {
			return
		}
		set, err := rule.NewSet([]rule.Rule{{ID: "a", Enabled: true, Conditions: condition}})
		if err != nil {
			t.Fatal(err)
		}
		alone, found := cond.Match(doc), len(set.Match(doc, nil)) == 1
		if guarded(doc) {
			return
		}
		if alone != found {
			t.Fatalf("alone %v, in the set %v", alone, found)
		}
	})
}

// guarded documents match less in a set than alone, by the loop guard.
func guarded(doc bson.Raw) bool {
	return rule.Hops(doc) >= rule.MaxHops || bytes.Contains(doc, []byte(rule.DeliveryType))
}

// FuzzMatch: generated rules against any bytes.
func FuzzMatch(f *testing.F) {
	g := querygen.New(2)
	rules := generated(g, 300)
	set, err := rule.NewSet(rules)
	if err != nil {
		f.Fatal(err)
	}
	conds := map[string]*rule.Condition{}
	for _, r := range rules {
		if conds[r.ID], err = rule.Compile(r.Conditions); err != nil {
			f.Fatal(err)
		}
	}
	for range 100 {
		f.Add([]byte(querygen.Marshal(g.Document(4))))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		found := map[string]bool{}
		for _, c := range set.Match(doc, nil) {
			found[c.Rule.ID] = true
		}
		if guarded(doc) {
			return
		}
		for id, c := range conds {
			if c.Match(doc) != found[id] {
				t.Fatalf("%s: in the set %v", c.Raw(), found[id])
			}
		}
	})
}

// FuzzParseFile: whatever the text, reading ends without a panic, and what it
// gives can be written and read again.
func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{
		`[{"name":"a","conditions":{"a":{"$gt":1}},"actions":[{"type":"LOG","config":{}}]}]`,
		"{\"name\":\"a\",\"conditions\":{}}\n{\"name\":\"b\",\"conditions\":{\"t\":{\"$date\":\"2024-01-01T00:00:00Z\"}}}",
		"- name: a\n  conditions:\n    a: {$in: [1, x, 2.5, null]}\n",
		"a: &x {b: *x}", "\ufeff[]", "[[[[", `{"a":1,"a":2}`, "%YAML 1.1\n---\n!!binary x",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, yaml bool) {
		name := "rules.json"
		if yaml {
			name = "rules.yaml"
		}
		rules, err := rule.ParseFile(bytes.NewReader(text), name)
		if err != nil {
			_ = err.Error()
			return
		}
		for _, r := range rules {
			b, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			again, err := rule.ParseJSON(b)
			if err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if !bytes.Equal(again.Conditions, r.Conditions) {
				t.Fatalf("%s is read as %s", b, again.Conditions)
			}
		}
	})
}
