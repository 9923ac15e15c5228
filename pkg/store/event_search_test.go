package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/test/support/textserver"
)

// texts are a corpus in which each word means something else to one who stems,
// folds or splits otherwise.
var texts = []string{
	"provider_timeout eur eu-west", "timeout after 30 s", "timeouts are no fun", "payment failed: card declined", "the card was declined by the bank",
	"payments failing", "café order", "cafe order", "card-declined timeout", "card declined, then timeout", "no route to 10.0.0.7", "no route to 10.0.7.0",
	"größe passt nicht", "grösse", "it's the end", "naïve naive", "error e-1042 in module auth_v2", "a b a b a", "to be or not to be", "",
}

// queries are asked of it.
var queries = []string{
	"timeout", "Timeout", "timeouts", "provider_timeout", "provider", "eu-west", "eu", "card", "card timeout", `"card declined"`, "card -bank", "payment", "payments",
	"failed", "failing", "café", "cafe", "10.0.0.7", "10.0.0", "größe", "grösse", "the", "it's", "naive", "naïve", "e-1042", "auth_v2", "auth", "a", "not", "be -or", "nothing_such",
}

var _ = Describe("a text search", func() {
	// asked is what a search finds, page by page.
	asked := func(ctx context.Context, s *store.Store, q string, f store.EventFilter) (found []string) {
		GinkgoHelper()
		parsed, err := event.ParseSearch(q)
		Expect(err).NotTo(HaveOccurred())
		search := store.EventSearch{EventFilter: f, Search: parsed, Limit: 100}
		for {
			some, next, err := s.SearchEvents(ctx, search)
			Expect(err).NotTo(HaveOccurred(), q)
			for _, e := range some {
				Expect(e.Event.Lookup("search_score").Type).To(BeZero())
				found = append(found, e.Event.Lookup("search_text").StringValue())
			}
			if next == nil {
				return found
			}
			search.After = next
		}
	}
	corpus := func() event.Batch {
		return testBatch(len(texts), func(i int, d bson.D) bson.D {
			d[2].Value = []string{"USER_LOGIN", "PAYMENT_FAILED"}[i%2]
			return append(d, bson.E{Key: "search_text", Value: texts[i]})
		})
	}

	It("finds the same with a text index and without", func(ctx SpecContext) {
		server, err := textserver.Start(ctx)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Stop)
		databases++
		s, err := store.Open(ctx, store.Options{URI: server.URI, Database: fmt.Sprintf("ea_text_%d_%d", GinkgoParallelProcess(), databases)})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) {
			Expect(s.DropDatabase(ctx)).To(Succeed())
			Expect(s.Close(ctx)).To(Succeed())
		}, NodeTimeout(30*time.Second))
		Expect(s.SearchMode()).To(Equal(store.TermMatch), "before anybody asked for the index")
		Expect(s.MakeIndex(ctx, "events", "text")).To(Succeed()) // with all of them it takes no events: no database for the product
		Expect(s.SearchMode()).To(Equal(store.TextIndex))
		b := corpus()
		Expect(s.InsertEvents(ctx, b.Events)).To(Succeed())
		plain := fresh(ctx)
		plain.SetSearchMode(store.TermMatch)
		Expect(plain.SaveBatch(ctx, b, "spec")).To(Succeed())

		hits := 0
		for _, f := range []store.EventFilter{{}, {Type: "PAYMENT_FAILED", From: time.Now().Add(-time.Hour)}} {
			for _, q := range queries {
				byIndex, byTerms := asked(ctx, s, q, f), asked(ctx, plain, q, f)
				Expect(byIndex).To(ConsistOf(slices.Collect(each(byTerms))...), "%q", q)
				hits += len(byTerms)
			}
		}
		Expect(hits).To(BeNumerically(">", 40))
	}, SpecTimeout(3*time.Minute))

	It("ranks, and goes on where a page ended, on a server without text indexes", func(ctx SpecContext) {
		s := fresh(ctx)
		s.SetSearchMode(store.TermMatch)
		Expect(s.SaveBatch(ctx, corpus(), "spec")).To(Succeed())
		Expect(asked(ctx, s, "declined card", store.EventFilter{})).To(HaveExactElements(
			"card-declined timeout", "card declined, then timeout", "payment failed: card declined", "the card was declined by the bank"))
		parsed, err := event.ParseSearch("timeout")
		Expect(err).NotTo(HaveOccurred())
		var all []string
		for _, search := range []store.EventSearch{{Search: parsed, Limit: 1}, {Search: parsed, Limit: 10, Bytes: 1}} {
			all = nil
			for range texts {
				some, next, err := s.SearchEvents(ctx, search)
				Expect(err).NotTo(HaveOccurred())
				if next == nil {
					break
				}
				Expect(some).To(HaveLen(1))
				all, search.After = append(all, some[0].Event.Lookup("search_text").StringValue()), next
			}
			Expect(all).To(Equal(asked(ctx, s, "timeout", store.EventFilter{})))
			Expect(all).To(HaveLen(3))
		}
		Expect(strings.Join(all, "|")).NotTo(ContainSubstring("timeouts"))
	}, SpecTimeout(time.Minute))
})

// each hands on values as a matcher takes them.
func each(values []string) func(func(any) bool) {
	return func(yield func(any) bool) {
		for _, v := range values {
			if !yield(v) {
				return
			}
		}
	}
}
