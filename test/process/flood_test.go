package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

const (
	// floodLetters died of floodCauses.
	floodLetters = 5000
	floodCauses  = 5
	// floodRate is slow enough for a machine that has other things to do.
	floodRate = 1000
	// floodChunk is what is published together at that rate, and given back twice at
	// most by a death between the confirm and the ack.
	floodChunk = floodRate / 20
)

// cause is an error of one of floodCauses; its numbers differ each time.
type cause struct{ n int }

func (c cause) Error() string {
	return fmt.Sprintf("%s %d of 172.16.0.%d after %dms", []string{"no answer from", "refused by", "no such name for", "broken schema of", "odd bytes of"}[c.n%floodCauses], c.n, c.n%250, c.n)
}

func (c cause) Class() string {
	return []string{"timeout", "http_4xx", "dns", "invalid_event", "invalid_json"}[c.n%floodCauses]
}

// lineClock notes when each line of a process came.
type lineClock struct {
	mu sync.Mutex
	at []time.Time
}

func (l *lineClock) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range bytes.Count(p, []byte{'\n'}) {
		l.at = append(l.at, time.Now())
	}
	return len(p), nil
}

func (l *lineClock) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.at)
}

// perSecond leaves out the first chunk, which waits for nobody.
func (l *lineClock) perSecond() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.at) - 1
	return float64(len(l.at)-floodChunk) / l.at[last].Sub(l.at[0]).Seconds()
}

var _ = Describe("five thousand dead letters", measures, func() {
	dead := func(ctx context.Context, f *fleet.Fleet) int { return f.Depth(ctx, topology.Ingest+".dead") }

	It("are grouped by their five causes, browsed a hundred times, and replayed at a rate through a sudden death; none is lost or goes twice", func(ctx SpecContext) {
		f := fleet.New(ctx)
		messages := make([]broker.Message, floodLetters)
		for i := range messages {
			// No event: the ingester would refuse it again.
			messages[i] = broker.Message{Exchange: f.Topology.Exchange(topology.ExchangeEvents), RoutingKey: "events.flood",
				MessageID: fmt.Sprintf("m-%d", i), ContentType: "application/json", Body: fmt.Appendf(nil, `{"n":%d}`, i)}
		}
		f.DeadInAnyOrder(ctx, topology.Ingest, func(d *broker.Delivery) error {
			var body struct {
				N int `json:"n"`
			}
			if err := json.Unmarshal(d.Body, &body); err != nil {
				return err
			}
			return cause{body.N}
		}, messages...)

		grouped := func() {
			GinkgoHelper()
			began := time.Now()
			cmd, out, errOut := eactl(f, "", "dlq", "groups", topology.Ingest, "-o", "json")
			_ = cmd.Wait()
			AddReportEntry("eactl dlq groups", time.Since(began).Round(time.Millisecond))
			Expect(cmd.ProcessState.ExitCode()).To(BeZero(), "%s", errOut.Contents())
			Expect(time.Since(began)).To(BeNumerically("<", 20*time.Second), "bench/deadletters has the figure")
			groups := map[string]int{}
			for line := range bytes.Lines(out.Contents()) {
				var g deadletter.Group
				Expect(json.Unmarshal(line, &g)).To(Succeed(), "%s", line)
				groups[g.ErrorClass] += g.Messages
				Expect(g.Messages).To(Equal(floodLetters / floodCauses))
			}
			Expect(groups).To(HaveLen(floodCauses))
		}
		By("grouped, and browsed a hundred times")
		grouped()
		letters, err := deadletter.Open(f.Connection, nil, f.Topology, topology.Ingest)
		Expect(err).NotTo(HaveOccurred())
		enough := errors.New("enough")
		for pass := range 100 {
			most, seen := 50, 0
			if pass%50 == 0 {
				most = floodLetters
			}
			err := letters.Each(ctx, deadletter.Filter{}, func(*deadletter.Letter) error {
				if seen++; seen == most {
					return enough
				}
				return nil
			})
			Expect(err).To(Or(BeNil(), MatchError(enough)))
			Expect(seen).To(Equal(most), "pass %d", pass)
		}
		Expect(dead(ctx, f)).To(Equal(floodLetters))
		grouped()

		By("a canary fails again, and the others stay")
		ingester := launch(f, "ingester", "")
		ingester.waitReady(ctx)
		cmd, _, errOut := eactl(f, "", "dlq", "replay", topology.Ingest, "--canary")
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(Equal(1), "%s", errOut.Contents())
		Expect(string(errOut.Contents())).To(ContainSubstring("failed again"))
		Eventually(ctx, func() int { return dead(ctx, f) }).WithTimeout(patience).Should(Equal(floodLetters))
		ingester.stop(ctx)

		By("replayed at a rate, killed in the middle, and run again")
		var rates []float64
		cmd, lines := replayed(f)
		Eventually(ctx, lines.lines).WithTimeout(patience).WithPolling(5 * time.Millisecond).Should(BeNumerically(">=", floodLetters/2))
		Expect(cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
		_ = cmd.Wait()
		rates = append(rates, lines.perSecond())
		Eventually(ctx, func() int { return dead(ctx, f) + f.Depth(ctx, topology.Ingest) }).WithTimeout(patience).
			Should(And(BeNumerically(">=", floodLetters), BeNumerically("<=", floodLetters+floodChunk)))
		cmd, lines = replayed(f)
		_ = cmd.Wait()
		Expect(cmd.ProcessState.ExitCode()).To(BeZero())
		rates = append(rates, lines.perSecond())
		Expect(dead(ctx, f)).To(BeZero())
		AddReportEntry("replayed a second", rates)
		for _, r := range rates {
			Expect(r).To(BeNumerically("<=", 1.1*floodRate))
		}
		// One that a busy machine held up shows nothing.
		Expect(max(rates[0], rates[1])).To(BeNumerically(">=", 0.9*floodRate))

		By("each is back with its owner")
		found, total := drained(ctx, f, topology.Ingest)
		Expect(found).To(HaveLen(floodLetters))
		Expect(total).To(BeNumerically("<=", floodLetters+floodChunk))
	}, SpecTimeout(4*time.Minute))
})

// replayed starts a replay of all at floodRate.
func replayed(f *fleet.Fleet) (cmd *exec.Cmd, lines *lineClock) {
	GinkgoHelper()
	lines = &lineClock{}
	cmd = eactlCommand(f, "", "dlq", "replay", topology.Ingest, "--rate", fmt.Sprint(floodRate), "-o", "json")
	cmd.Stdout, cmd.Stderr = lines, GinkgoWriter
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() { _ = cmd.Process.Kill() })
	return cmd, lines
}

// drained takes all messages out of a queue: which there were, and how many.
func drained(ctx context.Context, f *fleet.Fleet, queue string) (distinct map[string]bool, total int) {
	GinkgoHelper()
	distinct = map[string]bool{}
	var mu sync.Mutex
	waiting := f.Depth(ctx, queue)
	consumer := broker.NewConsumer(f.Connection, f.Publisher, f.Topology.Work(queue), broker.ConsumerOptions{Log: f.Log})
	run, stop := context.WithCancel(ctx)
	defer stop()
	Expect(consumer.Run(run, broker.Each(64, func(_ context.Context, d *broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		distinct[string(d.Body)] = true
		if total++; total == waiting {
			stop()
		}
		return nil
	}))).To(Succeed())
	return distinct, total
}
