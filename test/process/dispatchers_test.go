package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

const (
	dispatchFor = 15 * time.Second
	// dispatchRate is how many notifications a second are owed at most; a database
	// that cannot store so many has fewer.
	dispatchRate = 200
	dispatchTick = 100 * time.Millisecond
	// claimFor is how long a dispatcher of these specs has a notification for
	// itself, see settings.
	claimFor = 6 * time.Second
	// dispatchTogether is how many calls a dispatcher makes at a time: what one that
	// dies leaves unrecorded.
	dispatchTogether = 32
)

var _ = Describe("two dispatchers, killed in turn and paused for longer than their claims", measures, func() {
	It("deliver everything, repeat only what a death or a receiver left in doubt, and undo no delivery", func(ctx SpecContext) {
		f := fleet.New(ctx)
		receivers := []*sink.Running{misbehaving(sink.Faults{LatencyMS: 5}),
			misbehaving(sink.Faults{Status: 503, First: 1, Share: 0.3, LatencyMS: 20}),
			misbehaving(sink.Faults{Mix: append(make([]sink.Faults, 12), sink.Faults{Reset: true}, sink.Faults{CutOff: true}, sink.Faults{Hang: true})})}
		settled := followSettled(ctx, f)
		var pair [2]*dispatching
		for i := range pair {
			pair[i] = dispatch(ctx, f)
		}
		owed := make([]map[string]bool, len(receivers))
		load, halt := context.WithTimeout(ctx, dispatchFor)
		defer halt()
		var working sync.WaitGroup
		working.Go(func() {
			defer GinkgoRecover()
			oweSteadily(ctx, load, f, receivers, owed)
		})
		deaths, pauses := 0, 0
		for i := 0; load.Err() == nil || deaths < 3; i = 1 - i { // on a slow machine some come after the load
			if deaths+pauses == 2 { // once in the middle, since it takes longest
				pair[i].pause(ctx, claimFor+2*time.Second)
				pauses++
				continue
			}
			passes(ctx, time.Duration(500+rand.IntN(1000))*time.Millisecond)
			pair[i].process.kill(ctx)
			pair[i] = dispatch(ctx, f)
			deaths++
		}
		working.Wait()

		all, unrecorded, doubtful := 0, 0, 0
		notifications := allDelivered(ctx, f)
		for i, r := range receivers {
			for id := range owed[i] {
				n, there := notifications[id]
				Expect(there).To(BeTrue(), id)
				oneDelivery(n)
				calls, effects := r.Of(id)
				inDoubt := 0
				for _, a := range n.Attempts {
					if a.StatusCode == 0 {
						inDoubt++
					}
				}
				lost := calls - len(n.Attempts) // whoever made it died, or woke up too late
				Expect(lost).To(And(BeNumerically(">=", 0), BeNumerically("<=", deaths+pauses)), "%s: %d calls, %+v", id, calls, n.Attempts)
				Expect(effects).To(And(BeNumerically(">=", 1), BeNumerically("<=", 1+inDoubt+lost)), "%s: %d calls, %+v", id, calls, n.Attempts)
				all, unrecorded, doubtful = all+1, unrecorded+lost, doubtful+inDoubt
			}
			Expect(r.Stats().Distinct).To(Equal(len(owed[i])))
		}
		Expect(unrecorded).To(BeNumerically("<=", (deaths+pauses)*dispatchTogether), "more than deaths and pauses explain")
		AddReportEntry("what became of it", fmt.Sprintf("%d owed, %d deaths, %d pauses; %d calls are in no record, of %d attempts nobody knows the effect",
			all, deaths, pauses, unrecorded, doubtful))
		Expect(settled()).To(BeEmpty(), "a delivery that was undone")
		Eventually(ctx, func() int { return f.Depth(ctx, topology.WebhooksDefault) }).WithTimeout(patience).Should(BeZero())
		Expect(f.Depth(ctx, topology.WebhooksDefault+".dead")).To(BeZero())
	}, SpecTimeout(4*time.Minute))
})

// misbehaving starts a receiver with faults.
func misbehaving(faults sink.Faults) *sink.Running {
	GinkgoHelper()
	r, err := sink.Start("")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(r.Close)
	r.SetFaults(faults)
	return r
}

// dispatching is an action-dispatcher whose sessions can be cut.
type dispatching struct {
	process *running
	broker  interface{ Cut() }
}

func dispatch(ctx context.Context, f *fleet.Fleet) *dispatching {
	GinkgoHelper()
	address := f.AMQPURL
	broker := fleet.Through(&address)
	// A receiver with room for more calls is not taken for one that is too slow,
	// whose messages wait for a minute.
	process := start("action-dispatcher", append(settings(f), "EA_AMQP_URL="+address, fmt.Sprint("EA_DISPATCHER_QUEUES=webhooks.default=", dispatchTogether), "EA_DISPATCHER_TARGET_CONCURRENCY=24",
		"EA_DISPATCHER_SCHEDULE=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"))
	process.waitReady(ctx)
	return &dispatching{process, broker}
}

// pause lets the process stand still while the broker gives what it holds to
// the other, and wakes it.
func (d *dispatching) pause(ctx context.Context, lasts time.Duration) {
	GinkgoHelper()
	d.process.Signal(syscall.SIGSTOP)
	d.process.waitPaused(ctx)
	d.broker.Cut()
	passes(ctx, lasts)
	d.process.Signal(syscall.SIGCONT)
}

// oweSteadily owes webhooks to the receivers in turn until load ends, and notes
// their ids.
func oweSteadily(ctx, load context.Context, f *fleet.Fleet, receivers []*sink.Running, owed []map[string]bool) {
	GinkgoHelper()
	ticker := time.NewTicker(dispatchTick)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-load.Done():
			return
		case <-ticker.C:
		}
		to := i % len(receivers)
		if owed[to] == nil {
			owed[to] = map[string]bool{}
		}
		each := int(dispatchRate * dispatchTick / time.Second)
		for _, id := range f.Owe(ctx, each, bson.D{{Key: "url", Value: receivers[to].URL}}) {
			owed[to][id] = true
		}
	}
}

// delivered waits until a notification is: it has one successful attempt, the
// last, and attempts are numbered without gaps.
func delivered(ctx context.Context, f *fleet.Fleet, id string) (n notification.Notification) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		var err error
		n, err = f.Store.Notification(ctx, id)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n.Status).To(Equal(notification.Delivered), "%+v", n.Attempts)
	}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
	oneDelivery(n)
	return n
}

func oneDelivery(n notification.Notification) {
	GinkgoHelper()
	for i, a := range n.Attempts {
		Expect(a.Number).To(Equal(i+1), n.ID)
		if i == len(n.Attempts)-1 {
			Expect(a.Outcome).To(Equal(notification.OutcomeOK), "%s: %+v", n.ID, n.Attempts)
		} else {
			Expect(a.Outcome).NotTo(Equal(notification.OutcomeOK), "%s: %+v", n.ID, n.Attempts)
		}
	}
}

// allDelivered waits until all notifications are, and returns them by their ids.
func allDelivered(ctx context.Context, f *fleet.Fleet) map[string]notification.Notification {
	GinkgoHelper()
	all := map[string]notification.Notification{}
	var counts map[notification.Status]int64
	Eventually(ctx, func(g Gomega) {
		var err error
		counts, err = f.Store.CountNotifications(ctx, store.NotificationFilter{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(counts[notification.Pending]).To(BeZero())
	}).WithTimeout(2 * time.Minute).WithPolling(200 * time.Millisecond).Should(Succeed())
	Expect(counts[notification.Dead]).To(BeZero())
	for after := (*store.NotificationPosition)(nil); ; {
		page, err := f.Store.FindNotifications(ctx, store.NotificationFilter{}, after, 500)
		Expect(err).NotTo(HaveOccurred())
		if len(page) == 0 {
			return all
		}
		for _, n := range page {
			all[n.ID] = n
			after = &store.NotificationPosition{CreatedAt: n.CreatedAt, ID: n.ID}
		}
	}
}

// followSettled watches every change of the notifications' status, and returns
// those that left delivered.
func followSettled(ctx context.Context, f *fleet.Fleet) (undone func() []string) {
	GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(f.MongoURI))
	Expect(err).NotTo(HaveOccurred())
	stream, err := client.Database(f.Database).Collection("notifications").Watch(ctx,
		mongo.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"update", "replace"}}}}}}}})
	Expect(err).NotTo(HaveOccurred())
	var mu sync.Mutex
	var wrong []string
	done := map[string]bool{}
	following, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for stream.Next(following) {
			var change struct {
				Key struct {
					ID string `bson:"_id"`
				} `bson:"documentKey"`
				Changes struct {
					Fields struct {
						Status *notification.Status `bson:"status"`
					} `bson:"updatedFields"`
				} `bson:"updateDescription"`
			}
			err := stream.Decode(&change)
			mu.Lock()
			switch status := change.Changes.Fields.Status; {
			case err != nil:
				wrong = append(wrong, err.Error())
			case status == nil:
			case *status == notification.Delivered:
				done[change.Key.ID] = true
			case done[change.Key.ID]:
				wrong = append(wrong, fmt.Sprintf("%s: %s", change.Key.ID, *status))
			}
			mu.Unlock()
		}
	}()
	DeferCleanup(func(ctx SpecContext) {
		stop()
		<-ended
		_ = stream.Close(ctx)
		_ = client.Disconnect(ctx)
	}, NodeTimeout(20*time.Second))
	return func() []string {
		GinkgoHelper()
		// What was seen must be everything, or nothing was shown.
		Eventually(ctx, func(g Gomega) {
			counts, err := f.Store.CountNotifications(ctx, store.NotificationFilter{})
			g.Expect(err).NotTo(HaveOccurred())
			mu.Lock()
			defer mu.Unlock()
			g.Expect(len(done)).To(BeEquivalentTo(counts[notification.Delivered]))
		}).WithTimeout(30 * time.Second).Should(Succeed())
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(wrong)
	}
}
