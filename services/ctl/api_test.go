package ctl_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/ctl"
)

// against runs eactl with an API that answers everything so.
func against(ctx context.Context, status int, kind, answer string, args ...string) said {
	environ := answering(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	})
	var out, errOut bytes.Buffer
	code := ctl.Run(ctx, args, environ, &out, &errOut)
	return said{code, out.String(), errOut.String()}
}

var _ = Describe("what the API refuses", func() {
	DescribeTable("has its exit code, and says what to do", func(ctx SpecContext, status, code int, want string) {
		problem := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":"x","detail":"the detail","request_id":"r-1","errors":[{"parameter":"limit","message":"is wrong"}]}`, http.StatusText(status), status)
		s := against(ctx, status, "application/problem+json", problem, "events", "list")
		Expect(s).To(And(HaveField("Code", code), HaveField("Out", "")))
		Expect(s.Err).To(Equal(want))
	},
		Entry(nil, 400, 2, "eactl: the detail\n  limit: is wrong\nSee `eactl events list --help`.\n"),
		Entry(nil, 422, 2, "eactl: the detail\n  limit: is wrong\nSee `eactl events list --help`.\n"),
		Entry(nil, 401, 1, "eactl: the detail\n  limit: is wrong\nSet EA_API_KEY to a key that is in use; `eactl users create --database` makes one, and `eactl keys create` more of your own.\n"),
		Entry(nil, 403, 1, "eactl: the detail\n  limit: is wrong\nUse an admin's key; `eactl users create --database --role admin` makes one.\n"),
		Entry(nil, 404, 3, "eactl: nothing matched: the detail\n  limit: is wrong\n"),
		Entry(nil, 409, 1, "eactl: the detail\n  limit: is wrong\n"),
		Entry(nil, 429, 1, "eactl: the detail\n  limit: is wrong\nTry again later.\n"),
		Entry(nil, 503, 1, "eactl: the detail\n  limit: is wrong\n`eactl doctor` tries the servers; the api's log has this under request id r-1.\n"),
	)

	DescribeTable("says when to try again, where the API has", func(ctx SpecContext, status int, want string) {
		environ := answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"type":"about:blank","title":"x","status":500,"code":"x","detail":"the detail","request_id":"r-1"}`)
		})
		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"events", "list"}, environ, &out, &errOut)).To(Equal(1))
		Expect(errOut.String()).To(Equal(want))
	},
		Entry(nil, 429, "eactl: the detail\nTry again in 1m30s.\n"),
		Entry(nil, 503, "eactl: the detail\nTry again in 1m30s. `eactl doctor` tries the servers; the api's log has this under request id r-1.\n"),
	)

	It("is told from an answer of somebody else", func(ctx SpecContext) {
		s := against(ctx, http.StatusBadGateway, "text/html", "<h1>Bad Gateway</h1>", "status")
		Expect(s.Code).To(Equal(1))
		Expect(s.Err).To(MatchRegexp(`^eactl: 502 Bad Gateway from http://127\.0\.0\.1:\d+, which is not this API's way of answering; is EA_API_URL right\?\n$`))
	})

	It("is told from no answer", func(ctx SpecContext) {
		var out, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"events", "get", "e"}, []string{"EA_API_URL=http://127.0.0.1:1/", "EA_API_KEY=k"}, &out, &errOut)).To(Equal(1))
		Expect(errOut.String()).To(And(HavePrefix("eactl: the API at http://127.0.0.1:1 does not answer: "), HaveSuffix("\nStart it (`bin/api`), or set EA_API_URL to where it runs\n")))
	})
})

var _ = Describe("a list", func() {
	items := `{"items":[{"name":"a","version":1,"updated_at":"2026-03-01T12:00:00Z","description":"says \"no\", twice"},{"name":"b","version":12,"updated_at":"2026-03-01T12:00:00.5Z","description":"two\nlines"}]}`

	DescribeTable("is what -o says", func(ctx SpecContext, output, want string) {
		Expect(against(ctx, http.StatusOK, "application/json", items, "templates", "list", "-o", output)).To(Equal(said{Out: want}))
	},
		Entry(nil, "csv", "name,version,updated_at,description\na,1,2026-03-01T12:00:00Z,\"says \"\"no\"\", twice\"\nb,12,2026-03-01T12:00:00.5Z,\"two\nlines\"\n"),
		Entry(nil, "json", `{"name":"a","description":"says \"no\", twice","subject":"","text":"","version":1,"created_at":"0001-01-01T00:00:00Z","updated_at":"2026-03-01T12:00:00Z"}`+"\n"+
			`{"name":"b","description":"two\nlines","subject":"","text":"","version":12,"created_at":"0001-01-01T00:00:00Z","updated_at":"2026-03-01T12:00:00.5Z"}`+"\n"),
	)

	It("lets nobody's text move a cursor, or be a formula", func(ctx SpecContext) {
		hostile := `{"items":[{"event_id":"e","type":"A","source":"=1+2","severity":3,"timestamp":"2026-03-01T12:00:00Z","payload":{"n":-5,"t":"\u001b]0;x\u0007\u009b2J"}}]}`
		s := against(ctx, http.StatusOK, "application/json", hostile, "events", "list", "--fields", "source, payload.n,payload.t")
		Expect(s.Code).To(BeZero())
		Expect(s.Out).To(And(ContainSubstring("-5"), ContainSubstring("]0;x"), Not(MatchRegexp(`[\x07\x1b\x{9b}]`))))
		s = against(ctx, http.StatusOK, "application/json", hostile, "events", "list", "-o", "csv", "--fields", "source, payload.n,payload.t")
		Expect(s.Out).To(Equal("timestamp,event_id,source,payload.n,payload.t\n2026-03-01T12:00:00Z,e,'=1+2,-5,\" ]0;x  2J\"\n"))
	})

	DescribeTable("fails when it cannot be written", func(ctx SpecContext, output string) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = full.Close() }()
		environ := answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, items)
		})
		var errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"templates", "list", "-o", output}, environ, full, &errOut)).To(Equal(1))
		Expect(errOut.String()).To(ContainSubstring("no space left on device"))
	}, Entry(nil, "table"), Entry(nil, "csv"), Entry(nil, "json"), Entry(nil, "yaml"))

	DescribeTable("that is exported is whole when it says so, whatever a cell's line looks like", func(ctx SpecContext, body string, whole bool, code int, out string) {
		environ := answering(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			w.Header().Set("Trailer", "X-Export-Events")
			fmt.Fprint(w, body)
			if !whole {
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("X-Export-Events", "2")
		})
		var got, errOut bytes.Buffer
		Expect(ctl.Run(ctx, []string{"events", "export", "-o", "csv"}, environ, &got, &errOut)).To(Equal(code), errOut.String())
		Expect(got.String()).To(Equal(out))
		if !whole {
			Expect(errOut.String()).To(ContainSubstring("the export was cut"))
		}
	},
		Entry("in the middle", "a\n\"x\n# cut after 3 events\"\nb\n", true, 0, "a\n\"x\n# cut after 3 events\"\nb\n"),
		Entry("at the end", "a\n\"x\n# cut after 3 events\"\n", true, 0, "a\n\"x\n# cut after 3 events\"\n"),
		Entry("and is cut when its last line says so", "a\nb\n# cut after 1 events (too_slow): x; cursor=c\n", false, 1, "a\nb\n"),
	)

	It("of nothing is nothing matched", func(ctx SpecContext) {
		Expect(against(ctx, http.StatusOK, "application/json", `{"items":[]}`, "templates", "list", "-o", "csv")).To(Equal(said{Code: 3, Err: "eactl: nothing matched\n"}))
	})
})
