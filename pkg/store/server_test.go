package store_test

import (
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

var _ = Describe("what a server makes of an index's name", func() {
	It("is known to a process that made no indexes, as commands are: it asks by the same ones", func(ctx SpecContext) {
		name := emptyDatabase(ctx)
		named := func(prepare func(*store.Store) error) (hints []string) {
			GinkgoHelper()
			var mu sync.Mutex
			s, err := store.Open(ctx, store.Options{URI: mongoURI(), Database: name}.WithCommands(func(collection string, c bson.Raw) {
				mu.Lock()
				defer mu.Unlock()
				if collection == "events" && c.Index(0).Key() != "createIndexes" && c.Index(0).Key() != "listIndexes" {
					hint, _ := c.Lookup("hint").StringValueOK()
					hints = append(hints, c.Index(0).Key()+" by "+hint)
				}
			}))
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func(ctx SpecContext) { Expect(s.Close(ctx)).To(Succeed()) }, NodeTimeout(10*time.Second))
			Expect(prepare(s)).To(Succeed())
			_, err = s.ActiveUsers(ctx, store.EventFilter{From: time.Now().Add(-time.Hour)}, 10)
			Expect(err).NotTo(HaveOccurred())
			_, err = s.FindEvents(ctx, store.EventList{EventFilter: store.EventFilter{Type: "A"}, Limit: 1})
			Expect(err).NotTo(HaveOccurred())
			mu.Lock()
			defer mu.Unlock()
			return hints
		}
		served := named(func(s *store.Store) error { return s.EnsureIndexes(ctx) })
		Expect(served).NotTo(BeEmpty())
		Expect(named(func(*store.Store) error { return nil })).To(Equal(served))
	}, SpecTimeout(time.Minute))
})
