// Package actiontest holds what every action type must fulfil. A type's specs
// call DescribeType in a container of their own.
package actiontest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
)

// Cases are the content of a type's testdata/cases.json: configurations as
// extended JSON.
type Cases struct {
	// Valid configurations have no problem.
	Valid []Case `json:"valid"`
	// Invalid ones have exactly the problems at these pointers.
	Invalid []Case `json:"invalid"`
	// Secret is a valid configuration with a secret in every place that can
	// hold one, and Secrets are those; Elsewhere is the same for another
	// receiver. A type without secrets has none of them.
	Secret    json.RawMessage `json:"secret"`
	Secrets   []string        `json:"secrets"`
	Elsewhere json.RawMessage `json:"elsewhere"`
}

// Case is one configuration.
type Case struct {
	Name     string          `json:"name"`
	Config   json.RawMessage `json:"config"`
	Pointers []string        `json:"pointers"`
}

// Load reads testdata/cases.json of the package under test.
func Load() Cases {
	var c Cases
	text, err := os.ReadFile(filepath.Join("testdata", "cases.json"))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		panic("actiontest: testdata/cases.json: " + err.Error())
	}
	return c
}

// BSON turns a configuration into what rules hold.
func BSON(config json.RawMessage) bson.Raw {
	var raw bson.Raw
	ExpectWithOffset(1, bson.UnmarshalExtJSON(config, false, &raw)).To(Succeed())
	return raw
}

// DescribeType specifies a type.
func DescribeType(t action.Type, queues ...string) {
	cases := Load()
	Describe(t.Name(), func() {
		It("has a name in capitals and a line of documentation that begins with it", func() {
			Expect(regexp.MustCompile(`^[A-Z][A-Z_]*$`).MatchString(t.Name())).To(BeTrue())
			Expect(t.Doc()).To(HavePrefix(t.Name() + " {"))
			Expect(t.Doc()).NotTo(ContainSubstring("\n"))
		})

		for _, c := range cases.Valid {
			It("takes "+c.Name, func() { Expect(t.Check(BSON(c.Config))).To(BeEmpty()) })
		}
		for _, c := range cases.Invalid {
			It("refuses "+c.Name, func() {
				var pointers []string
				for _, p := range t.Check(BSON(c.Config)) {
					pointers = append(pointers, p.Pointer)
					Expect(p.Message).NotTo(BeEmpty())
				}
				Expect(pointers).To(ConsistOf(c.Pointers))
			})
		}

		It("has a JSON Schema that takes what it takes, and knows its fields", func() {
			text := t.Schema()
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			Expect(err).NotTo(HaveOccurred())
			c := jsonschema.NewCompiler()
			Expect(c.AddResource("schema.json", doc)).To(Succeed())
			schema, err := c.Compile("schema.json")
			Expect(err).NotTo(HaveOccurred())
			accepts := func(config json.RawMessage) error {
				v, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
				Expect(err).NotTo(HaveOccurred())
				return schema.Validate(v)
			}
			for _, c := range cases.Valid {
				Expect(accepts(c.Config)).To(Succeed(), c.Name)
			}
			Expect(accepts(json.RawMessage(`{"surely/unknown": 1}`))).NotTo(Succeed())
			var shown struct {
				Properties map[string]any `json:"properties"`
			}
			Expect(json.Unmarshal(text, &shown)).To(Succeed())
			fields, _, _ := strings.Cut(strings.TrimPrefix(t.Doc(), t.Name()+" {"), "}")
			for field := range strings.SplitSeq(fields, ", ") {
				Expect(shown.Properties).To(HaveKey(strings.TrimSuffix(field, "?")))
			}
			Expect(shown.Properties).To(HaveLen(strings.Count(fields, ",") + 1))
		})
		It("refuses a field that it does not know", func() {
			Expect(t.Check(BSON(json.RawMessage(`{"surely/unknown": 1}`)))).
				To(ContainElement(HaveField("Pointer", "/surely~1unknown")))
		})
		It("survives what is no configuration", func() {
			for _, raw := range []bson.Raw{nil, {}, {1, 2, 3}, {255, 255, 255, 255, 0}, {12, 0, 0, 0, 2, 'u', 'r', 'l', 0, 9, 0, 0}} {
				Expect(func() {
					t.Check(raw)
					t.Mask(raw)
					t.Restore(raw, raw)
					t.Queue(raw, 5, 5)
				}).NotTo(Panic())
			}
		})
		It("sends every match to one of its queues, urgent ones apart", func() {
			raw := BSON(cases.Valid[0].Config)
			for severity := 1; severity <= 10; severity++ {
				for priority := 1; priority <= 3; priority++ {
					q := t.Queue(raw, severity, priority)
					Expect(queues).To(ContainElement(q))
					Expect(strings.HasSuffix(q, ".critical")).To(Equal(severity >= 9 || priority == 1))
				}
			}
		})
		It("changes nothing where there is no secret", func() {
			for _, c := range cases.Valid {
				raw := BSON(c.Config)
				Expect(t.Restore(t.Mask(raw), raw)).To(Equal(raw))
			}
		})
		if cases.Secret != nil {
			describeSecrets(t, cases)
		}
	})
}

func describeSecrets(t action.Type, cases Cases) {
	It("masks every secret", func() {
		raw := BSON(cases.Secret)
		Expect(t.Check(raw)).To(BeEmpty())
		shown := t.Mask(raw).String()
		for _, s := range cases.Secrets {
			Expect(raw.String()).To(ContainSubstring(s))
			Expect(shown).NotTo(ContainSubstring(s))
		}
		Expect(shown).To(ContainSubstring(action.Masked))
		Expect(t.Mask(t.Mask(raw))).To(Equal(t.Mask(raw)))
	})
	It("refuses to take a mask for a secret", func() {
		Expect(t.Check(t.Mask(BSON(cases.Secret)))).NotTo(BeEmpty())
	})
	It("gives the stored secrets back to what was read", func() {
		raw := BSON(cases.Secret)
		Expect(t.Restore(t.Mask(raw), raw)).To(Equal(raw))
	})
	It("gives no stored secret to another receiver", func() {
		elsewhere := BSON(cases.Elsewhere)
		restored := t.Restore(t.Mask(elsewhere), BSON(cases.Secret)).String()
		for _, s := range cases.Secrets {
			Expect(restored).NotTo(ContainSubstring(s))
		}
	})
	It("shows no secret in a problem", func() {
		raw := BSON(cases.Secret)
		broken, err := bson.Marshal(append(toD(raw), bson.E{Key: "unknown", Value: 1}))
		Expect(err).NotTo(HaveOccurred())
		for _, p := range t.Check(broken) {
			for _, s := range cases.Secrets {
				Expect(p.Message).NotTo(ContainSubstring(s))
			}
		}
	})
}

func toD(raw bson.Raw) bson.D {
	var d bson.D
	ExpectWithOffset(1, bson.Unmarshal(raw, &d)).To(Succeed())
	return d
}
