package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

var _ = Describe("a rule with a window", func() {
	frequency := object{"kind": "frequency", "timeframe": "5m", "num_events": 3}

	It("is refused with every mistake, and with the index that it lacks, which is made on request", func(ctx SpecContext) {
		p := start(ctx)
		var problem problemBody
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", object{"name": "wrong", "conditions": object{"type": "A"}, "actions": logAction,
			"window": object{"kind": "percentage", "timeframe": "0s", "num_events": 3, "match": object{"a": object{"$near": 1}}, "min": 200}}, &problem)).
			To(Equal(http.StatusUnprocessableEntity))
		var pointers []string
		for _, e := range problem.Errors {
			pointers = append(pointers, e.Pointer)
		}
		Expect(pointers).To(ConsistOf("/window/timeframe", "/window/num_events", "/window/match/a/$near", "/window/min"))

		shop := object{"name": "shop", "conditions": object{"payload.shop": "s1"}, "actions": logAction, "window": frequency}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules", shop, &problem)).To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Code).To(Equal("missing_index"))
		Expect(problem.Errors).To(HaveLen(1))
		Expect(problem.Errors[0].Pointer).To(Equal("/window"))
		Expect(problem.Errors[0].Message).To(ContainSubstring(`{"payload.shop": 1, "timestamp": 1}`))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules?create_indexes=true", shop, nil)).To(Equal(http.StatusCreated))
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules/import", []object{{"name": "other", "conditions": object{"type": "A"}, "actions": logAction},
			{"name": "shop", "conditions": object{"source": "a", "payload.kind": "s1"}, "actions": logAction, "window": frequency},
			{"name": "region", "conditions": object{"metadata.region": "eu"}, "actions": logAction, "window": frequency}}, &problem)).
			To(Equal(http.StatusUnprocessableEntity))
		Expect(problem.Errors).To(HaveLen(1), "source_time serves the other one")
		Expect(problem.Errors[0].Pointer).To(Equal("/2/window"))
	}, SpecTimeout(time.Minute))

	It("has longer for its index than a request has", func(ctx SpecContext) {
		f := fleet.New(ctx)
		proxy := fleet.Through(&f.MongoURI)
		p := (&product{Fleet: f}).another(ctx, func(c *config.Config) {
			c.API.RequestTimeout, c.API.PublishTimeout = 2*time.Second, time.Second
		})
		Expect(p.call(ctx, http.MethodGet, "/api/v1/users/me", nil, nil)).To(Equal(http.StatusOK))
		proxy.Delay(700 * time.Millisecond) // the key is known; indexes, the events of the rule, the new index and the rule are asked for one by one
		r := object{"name": "shop", "conditions": object{"payload.shop": "s1"}, "actions": logAction, "window": frequency}
		Expect(p.call(ctx, http.MethodPost, "/api/v1/rules?create_indexes=true", r, nil)).To(Equal(http.StatusCreated))
	}, SpecTimeout(time.Minute))

	It("is applied with its index by eactl", func(ctx SpecContext) {
		p := start(ctx)
		file := filepath.Join(GinkgoT().TempDir(), "rules.yaml")
		Expect(os.WriteFile(file, []byte(`
- name: many in a region
  conditions: {metadata.region: eu}
  window: {kind: frequency, timeframe: 5m, num_events: 3}
  actions: [{type: LOG, config: {level: info, message: "{{.Alert.Text}}"}}]
`), 0o600)).To(Succeed())
		refused := p.eactl(ctx, "rules", "apply", "-f", file)
		Expect(refused.Code).To(Equal(2))
		Expect(refused.Err).To(And(ContainSubstring("rules.yaml:"), ContainSubstring(`needs the index {"metadata.region": 1, "timestamp": 1}`), ContainSubstring("--create-indexes")))
		Expect(p.eactl(ctx, "rules", "apply", "--create-indexes", "-f", file)).To(And(done, HaveField("Out", "1 created, 0 changed, 0 unchanged\n")))
	}, SpecTimeout(time.Minute))
})
