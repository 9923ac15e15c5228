package arch_test

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// row is one line of the import table: what the files of some packages may
// import of our own. The first row that matches a file decides.
type row struct {
	files string // a package's pattern, or a file's
	may   []string
	why   string
}

// nouns are the types of the domain: pure, no servers, no I/O.
var nouns = []string{
	"pkg/event/...", "pkg/rule/...", "pkg/action/...", "pkg/notification/...", "pkg/decision/...", "pkg/backtest/...", "pkg/explain/...", "pkg/metric/...", "pkg/user/...",
	"pkg/silence/...", "pkg/letter/...", "pkg/replay/...",
}

var table = []row{
	{"pkg/event/...", []string{"pkg/event/..."}, "the event is the bottom noun"},
	{"pkg/notification/...", []string{"pkg/event/..."}, "nouns import downwards"},
	{"pkg/user/...", nil, "nouns import downwards"},
	{"pkg/metric/...", []string{"pkg/event/..."}, "nouns import downwards"},
	{"pkg/action/...", []string{"pkg/action/...", "pkg/event/...", "pkg/notification/...", "pkg/user/..."}, "nouns import downwards"},
	{"pkg/letter/...", []string{"pkg/action", "pkg/notification"}, "nouns import downwards"},
	{"configs", nil, "files to embed, nothing else"},
	{"pkg/rule/...", []string{"pkg/rule/...", "pkg/action/...", "pkg/event/...", "pkg/notification/..."}, "nouns import downwards"},
	{"pkg/decision/...", []string{"pkg/rule/...", "pkg/action/...", "pkg/event/...", "pkg/notification/...", "pkg/silence/..."}, "nouns import downwards"},
	{"pkg/explain/...", []string{"pkg/rule/...", "pkg/notification/..."}, "nouns import downwards; who asks brings the facts"},
	{"pkg/backtest/...", []string{"pkg/decision/...", "pkg/rule/...", "pkg/event/...", "pkg/notification/...", "pkg/silence/..."}, "nouns import downwards; the search is an interface"},
	{"pkg/silence/...", []string{"pkg/rule/..."}, "nouns import downwards"},
	{"pkg/replay/...", []string{"pkg/decision", "pkg/rule", "pkg/notification"}, "nouns import downwards; it plans, the store writes"},
	{"pkg/sheet/...", nil, "rows of text, whatever they hold"},
	{"pkg/fault/...", nil, "a fault point must be possible everywhere"},
	{"pkg/telemetry/...", nil, "everything may log and count"},
	{"pkg/config/...", []string{"pkg/config/..."}, "configuration knows no part that it configures"},
	{"pkg/broker/...", []string{"pkg/broker/...", "pkg/telemetry"}, "the broker carries bytes"},
	{"pkg/topology/...", append([]string{"pkg/broker"}, nouns...), "routes type the bytes"},
	{"pkg/store/...", append([]string{"pkg/store/...", "pkg/telemetry", "pkg/fault"}, nouns...), "the store keeps nouns"},
	{"pkg/deadletter/...", append([]string{"pkg/broker", "pkg/topology", "pkg/store", "pkg/fault"}, nouns...), "records are the store's, messages the broker's; it brings them together"},
	{"pkg/client/...", nil, "a client knows the API's document alone"},
	{"pkg/app/...", []string{"pkg/config", "pkg/telemetry", "pkg/broker", "pkg/topology", "pkg/store"}, "the composition root knows no service"},

	{"services/*/wire.go", append([]string{"pkg/app", "pkg/store", "services/SELF/..."}, serviceParts...), "wiring is the one place where a service meets app and store"},
	{"services/ctl/...", append([]string{"pkg/app", "pkg/store", "pkg/client", "services/ctl/..."}, serviceParts...), "eactl is its own composition root"},
	{"services/api/...", append([]string{"pkg/store", "configs", "services/api/..."}, serviceParts...), "the api is the store's face: its filters, pages and errors are the store's own; app only in wire.go"},
	{"services/*/...", append([]string{"services/SELF/..."}, serviceParts...), "a service declares the interfaces that it needs; app and store only in wire.go; never another service"},

	{"cmd/eactl", []string{"services/ctl"}, "main parses and exits"},
	{"cmd/*", []string{"pkg/app", "services/*"}, "main parses and exits"},

	{"test/...", []string{"pkg/...", "services/...", "test/..."}, "tests see everything"},
	{"scripts/...", []string{"scripts/...", "test/support/...", "pkg/config"}, "scripts stand alone; what they recount they read by themselves"},
}

// serviceParts are what every service may use.
var serviceParts = append([]string{"pkg/broker", "pkg/topology", "pkg/telemetry", "pkg/config", "pkg/fault", "pkg/deadletter", "pkg/sheet"}, nouns...)

// fence keeps third-party code behind one door, so that it can be changed
// there: only these packages may import it outside tests.
type fence struct {
	third string
	only  []string
	why   string
}

var fences = []fence{
	{"github.com/rabbitmq/amqp091-go/...", []string{"pkg/broker"}, "sessions, confirms and acks are made right once"},
	{"go.mongodb.org/mongo-driver/mongo/...", []string{"pkg/store"}, "one file per collection is all that talks to MongoDB"},
	{"go.mongodb.org/mongo-driver/x/mongo/...", []string{"pkg/store"}, "one file per collection is all that talks to MongoDB"},
	{"go.mongodb.org/mongo-driver/event", []string{"pkg/store"}, "one file per collection is all that talks to MongoDB"},
	{"github.com/spf13/viper/...", []string{"pkg/config"}, "everybody else gets a typed struct"},
	{"github.com/spf13/cobra/...", []string{"pkg/app", "services/ctl/..."}, "services register app.Command"},
	{"github.com/labstack/echo/v4/...", []string{"services/api/..."}, "HTTP frameworks stay at the edge"},
	{"github.com/labstack/gommon/...", []string{"services/api/..."}, "HTTP frameworks stay at the edge"},
	{"github.com/jedib0t/go-pretty/v6/...", []string{"services/ctl/..."}, "terminals belong to eactl"},
	{"github.com/vbauerster/mpb/v8/...", []string{"services/ctl/..."}, "terminals belong to eactl"},
	{"github.com/cloudevents/sdk-go/v2/...", []string{"pkg/event/..."}, "one reading of CloudEvents"},
	{"github.com/santhosh-tekuri/jsonschema/v6/...", []string{"pkg/event/..."}, "validation is the event's"},
	{"github.com/klauspost/compress/...", []string{"pkg/topology"}, "routes encode and decode"},
	{"github.com/sony/gobreaker/v2/...", []string{"services/dispatcher/..."}, "only deliveries have circuit breakers"},
	{"github.com/nicholas-fedor/shoutrrr/...", []string{"services/dispatcher"}, "letters leave by the dispatcher alone"},
	{"github.com/wneessen/go-mail/...", []string{"services/dispatcher"}, "letters leave by the dispatcher alone"},
	{"github.com/standard-webhooks/standard-webhooks/...", []string{"services/dispatcher/...", "pkg/action/webhook"}, "one signer"},
	{"github.com/prometheus/client_golang/...", []string{"pkg/telemetry", "pkg/broker", "pkg/app", "services/..."}, "nouns and store are counted by others"},
	{"go.uber.org/zap/...", []string{"pkg/telemetry", "pkg/broker", "pkg/store", "pkg/app", "services/..."}, "nouns return errors"},
	{"github.com/onsi/...", nil, "test code stays out of the binaries"},
	{"testing", nil, "test code stays out of the binaries"},
	{"net/http", []string{"pkg/app", "pkg/client", "services/...", "pkg/action/webhook", "pkg/action/outgoing", "pkg/action/alert"}, "nouns do no I/O; those of HTTP know headers and status codes"},
	{"os/exec", nil, "no process starts another"},
	{"os", []string{"pkg/config/...", "pkg/app", "pkg/telemetry", "pkg/broker", "pkg/fault", "services/...", "cmd/...", "pkg/event", "pkg/rule/internal/conditions", "pkg/client/internal/generate"}, "nouns do no I/O; the event reads its JSON Schemas at start, and generators write files"},
}

var _ = Describe("imports", func() {
	var all []pkg
	BeforeEach(func() { all = packages() })

	It("follow the table", func() {
		var wrong []string
		for _, p := range all {
			for _, f := range p.production() {
				r := rowOf(p.Name, f.Path)
				if r == nil {
					wrong = append(wrong, fmt.Sprintf("%s: no row of the table says what %s may import", f.Path, p.Name))
					continue
				}
				for _, imported := range f.Imports {
					if own(imported) && !matchesAny(r.allowed(p.Name), imported) {
						wrong = append(wrong, fmt.Sprintf("%s imports %s; row %q (%s) allows %v", f.Path, imported, r.files, r.why, r.may))
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("of third-party code stay behind their fences", func() {
		var wrong []string
		for _, p := range all {
			if p.testing() || matches("scripts/...", p.Name) {
				continue
			}
			for _, f := range p.production() {
				for _, fence := range fences {
					for _, imported := range f.Imports {
						if matches(fence.third, imported) && !matchesAny(fence.only, p.Name) {
							wrong = append(wrong, fmt.Sprintf("%s imports %s; only %v may: %s", f.Path, imported, fence.only, fence.why))
						}
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("of a service's tests stay off other services", func() {
		var wrong []string
		for _, p := range all {
			for _, f := range p.Files {
				for _, imported := range f.Imports {
					if matches("services/...", p.Name) && matches("services/...", imported) && !matches(self(p.Name), imported) {
						wrong = append(wrong, f.Path+" imports "+imported+"; what several services need together belongs to test/e2e")
					}
				}
			}
		}
		Expect(wrong).To(BeEmpty())
	})

	It("have no row that nothing needs", func() {
		used := map[string]bool{}
		for _, p := range all {
			for _, f := range p.production() {
				if r := rowOf(p.Name, f.Path); r != nil {
					used[r.files] = true
				}
			}
		}
		for _, r := range table {
			Expect(used[r.files]).To(BeTrue(), "row %q matches no file", r.files)
		}
	})
})

func own(imported string) bool {
	return slices.Contains([]string{"pkg", "services", "cmd", "test", "scripts"}, strings.SplitN(imported, "/", 2)[0])
}

// rowOf is the first row for a package or file; nil when there is none.
func rowOf(name, path string) *row {
	for i := range table {
		if r := &table[i]; matches(r.files, name) || matches(r.files, path) || matchesTree(r.files, name) {
			return r
		}
	}
	return nil
}

// matchesTree lets services/*/... match services/api/web.
func matchesTree(pattern, name string) bool {
	prefix, ok := strings.CutSuffix(pattern, "/...")
	if !ok {
		return false
	}
	parts := strings.Split(name, "/")
	n := strings.Count(prefix, "/") + 1
	return len(parts) >= n && matches(prefix, strings.Join(parts[:n], "/"))
}

func (r row) allowed(name string) []string {
	var out []string
	for _, m := range r.may {
		out = append(out, strings.ReplaceAll(m, "services/SELF/...", self(name)))
	}
	return out
}

// self is the service that a package belongs to.
func self(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/") + "/..."
}
