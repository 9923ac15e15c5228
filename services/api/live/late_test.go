package live_test

import (
	"context"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// server is a client of the server's own.
func server(ctx context.Context) *mongo.Client {
	GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(os.Getenv("EA_MONGO_URI")))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(client.Disconnect)
	return client
}

// unfinished has events in a transaction that is still open: a server may have
// given them their time by now, and tells them after the commit.
func unfinished(ctx context.Context, n int) (numbers []int, commit func()) {
	GinkgoHelper()
	client := server(ctx)
	session, err := client.StartSession()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(session.EndSession)
	Expect(session.StartTransaction()).To(Succeed())
	b, numbers := batch(n)
	documents := make([]any, n)
	for i := range b.Events {
		documents[i] = b.Events[i]
	}
	_, err = client.Database(database()).Collection("events").InsertMany(mongo.NewSessionContext(ctx, session), documents)
	Expect(err).NotTo(HaveOccurred())
	return numbers, func() {
		GinkgoHelper()
		Expect(session.CommitTransaction(ctx)).To(Succeed())
	}
}

// leave cuts the client and waits until the hub has let it go.
func (c *client) leave(ctx context.Context) {
	GinkgoHelper()
	c.cut()
	Eventually(ctx, c.ended).Should(Receive(BeNil()))
}

var _ = Describe("what had begun before a stream, and is committed after it", func() {
	DescribeTable("is told who was cut after the first position, and resumes", func(ctx SpecContext, others int) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		numbers, commit := unfinished(ctx, 3)
		c := follow(ctx, h, "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		for range others {
			other := follow(ctx, h, "", everything, nil)
			Eventually(ctx, other.isReady).Should(BeTrue())
		}
		c.leave(ctx)
		commit()
		again := follow(ctx, h, c.position(), everything, nil)
		Eventually(ctx, again.saw).Should(Equal(numbers))
		numbers = append(numbers, save(ctx, db, 2)...)
		Eventually(ctx, again.saw).Should(Equal(numbers))
		Expect(again.gapsTold()).To(BeEmpty())
	},
		Entry("to a stream that begins anew", 0, SpecTimeout(time.Minute)),
		Entry("to the stream that it left", 1, SpecTimeout(time.Minute)))

	It("is told once, whoever resumes together from the beginnings of different streams", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		numbers, commit := unfinished(ctx, 3)
		before := placeNow(ctx, s)
		commit()
		stream, err := s.Store.Watch(ctx, store.WatchedEvents, &before)
		Expect(err).NotTo(HaveOccurred())
		awaitTold(ctx, stream, numbers[2])
		after := placeNow(ctx, s)
		h := hub(ctx, s, 1000)
		early, late := follow(ctx, h, before.String(), everything, nil), follow(ctx, h, after.String(), everything, nil)
		Eventually(ctx, early.saw).Should(Equal(numbers))
		last := save(ctx, db, 2)
		Eventually(ctx, early.saw).Should(Equal(append(numbers, last...)))
		Eventually(ctx, late.saw).Should(Equal(last))
	}, SpecTimeout(time.Minute))

	It("is told after a gap, also to who had resumed", func(ctx SpecContext) {
		s, db, proxy := open(ctx)
		h := hub(ctx, s, 1000)
		first, other := follow(ctx, h, "", everything, nil), follow(ctx, h, "", everything, nil)
		Eventually(ctx, other.isReady).Should(BeTrue())
		numbers := save(ctx, db, 1)
		Eventually(ctx, first.saw).Should(Equal(numbers))
		first.leave(ctx)
		c := follow(ctx, h, first.position(), everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())

		s.forgetful.Store(true)
		proxy.Refuse(true)
		proxy.Cut()
		Eventually(ctx, s.refused.Load).ShouldNot(BeZero())
		numbers, commit := unfinished(ctx, 3)
		proxy.Refuse(false)
		Eventually(ctx, c.gapsTold).Should(HaveLen(1))
		commit()
		Eventually(ctx, c.saw).Should(Equal(numbers))
		Eventually(ctx, other.saw).Should(ContainElements(numbers))
	}, SpecTimeout(time.Minute))
})

var _ = Describe("clients from the beginnings of more streams than may catch up", func() {
	It("hold nobody who has something to read, and miss nothing", func(ctx SpecContext) {
		s, db, _ := open(ctx)
		h := hub(ctx, s, 1000)
		c := follow(ctx, h, "", everything, nil)
		Eventually(ctx, c.isReady).Should(BeTrue())
		seen := save(ctx, db, 1)
		Eventually(ctx, c.saw).Should(Equal(seen))
		c.leave(ctx)
		missed := saveTold(ctx, db, 2)

		var quiet []*client
		for range 4 {
			quiet = append(quiet, follow(ctx, h, placeNow(ctx, s).String(), everything, nil))
		}
		Eventually(ctx, h.Waiting).Should(BeNumerically(">", 0))
		away := follow(ctx, h, c.position(), everything, nil)
		Eventually(ctx, away.saw).Should(Equal(missed), "though nothing new comes")
		last := save(ctx, db, 2)
		Eventually(ctx, away.saw).Should(Equal(append(missed, last...)))
		for _, q := range quiet {
			Eventually(ctx, q.saw).Should(Equal(last))
		}
		Eventually(ctx, h.Waiting).Should(BeZero())
	}, SpecTimeout(time.Minute))
})
