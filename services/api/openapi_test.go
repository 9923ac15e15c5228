package api_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/api"
	"github.com/events-aggregator/events-aggregator/test/support/contract"
)

var _ = Describe("the document", func() {
	It("is OpenAPI 3.1", func(ctx SpecContext) {
		text, err := api.Document()
		Expect(err).NotTo(HaveOccurred())
		doc, err := openapi3.NewLoader().LoadFromData(text)
		Expect(err).NotTo(HaveOccurred())
		Expect(doc.IsOpenAPI31OrLater()).To(BeTrue())
		Expect(doc.Validate(context.Context(ctx))).To(Succeed())
	})

	It("has the operations of the route table, with their roles", func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		var routes, documented []string
		for _, r := range api.Routes() {
			role := "user"
			if r.Admin {
				role = "admin"
			}
			routes = append(routes, fmt.Sprintf("%s %s as %s", r.Method, regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"), role))
		}
		for _, o := range d.Operations {
			if strings.HasPrefix(o.Path, "/api/") {
				documented = append(documented, fmt.Sprintf("%s %s as %s", o.Method, o.Path, o.Role))
			}
		}
		Expect(documented).To(ConsistOf(routes), "services/api/openapi.yaml and routes() in server.go")
	})

	It("tells a newcomer of each operation what it is for, with an example of each answer", func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		ids := map[string]bool{}
		var wrong []string
		for _, o := range d.Operations {
			flaw := func(format string, args ...any) {
				wrong = append(wrong, o.Method+" "+o.Path+": "+fmt.Sprintf(format, args...))
			}
			if o.ID == "" || ids[o.ID] {
				flaw("operationId %q is missing, or there twice", o.ID)
			}
			ids[o.ID] = true
			for _, what := range []string{"summary", "description", "tags"} {
				if !o.Has(what) {
					flaw("no %s", what)
				}
			}
			if in := parameters(o, "path"); strings.Count(o.Path, "{") != in {
				flaw("%d parameters of the path are described", in)
			}
			wrong = append(wrong, d.Examples(o)...)
		}
		Expect(wrong).To(BeEmpty())
	})

	It("says of each operation that may change something what the audit says of it", func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		harmless := []string{"postEvents", "testRule", "backtestRule", "explainDraft", "previewTemplate", "beginSession", "endSession", "createTicket"} // they change nothing that people keep
		for _, o := range d.Operations {
			if o.Method != http.MethodGet && !slices.Contains(harmless, o.ID) {
				Expect(o.Has("x-audit")).To(BeTrue(), "%s: name its entry as x-audit, and make its case in test/e2e/audit_test.go", o.ID)
			}
		}
	})

	It("lists for each operation what any of its kind may answer", func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		for _, o := range d.Operations {
			if o.Role == "public" {
				continue
			}
			lists := func(status, code string, when bool) {
				GinkgoHelper()
				if when {
					Expect(d.Codes(o, status)).To(ContainElement(code), "%s: %s, see components/responses", o.ID, status)
				}
			}
			lists("400", "invalid_parameter", true)
			lists("401", "no_key", true)
			lists("401", "wrong_key", true)
			lists("403", "forbidden", o.Role == "admin")
			lists("404", "not_found", strings.Contains(o.Path, "{"))
			lists("400", "invalid_json", o.Body != nil)
			lists("408", "slow_body", o.Body != nil)
			lists("413", "body_too_large", o.Body != nil)
			lists("429", "rate_limited", true)
			lists("500", "internal", true)
			lists("503", "unavailable", true)
			lists("504", "too_slow", takesLong(o))
			if !takesLong(o) {
				Expect(d.Codes(o, "504")).To(BeEmpty(), "%s: 504, see takesLong below", o.ID)
			}
		}
	})

	It("has a schema for each kind of action, and uses every component", func() {
		d, err := contract.Load()
		Expect(err).NotTo(HaveOccurred())
		Expect(d.Check("/components/schemas/NewAction", map[string]any{"type": "LOG", "config": map[string]any{"level": "info"}})).To(Succeed())
		Expect(d.Check("/components/schemas/NewAction", map[string]any{"type": "LOG", "config": map[string]any{"level": "loud"}})).NotTo(Succeed())
		text, err := api.Document()
		Expect(err).NotTo(HaveOccurred())
		for kind := range d.Lookup("/components") {
			for name := range d.Lookup("/components/" + kind) {
				if kind != "securitySchemes" {
					Expect(strings.Contains(string(text), fmt.Sprintf(`"#/components/%s/%s"`, kind, name))).To(BeTrue(), "nothing refers to %s/%s", kind, name)
				}
			}
		}
	})
})

// takesLong says whether an operation reads events, lists what it has no ids of by
// time, or makes an index: whether it asks the database what that may break off.
func takesLong(o contract.Operation) bool {
	if strings.Contains(o.Path, "/stream/") { // which reads nothing for its filter
		return false
	}
	unseen := []string{"createSilence", "explainDraft", "getStatus", "listReplays", "listSilences", "retryNotifications", "testRule"}
	return slices.Contains(unseen, o.ID) || slices.ContainsFunc(o.Parameters, func(p contract.Parameter) bool {
		return slices.Contains([]string{"event", "event_id", "create_indexes"}, p.Name) || p.Name == "from" && p.Schema["format"] == "date-time"
	})
}

func parameters(o contract.Operation, in string) int {
	n := 0
	for _, p := range o.Parameters {
		if p.In == in {
			n++
		}
	}
	return n
}
