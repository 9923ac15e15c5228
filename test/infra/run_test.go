package infra_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

var _ = Describe("make run", Ordered, func() {
	var here *place
	BeforeAll(func() { here = newPlace() })

	start := func(ctx context.Context, env ...string) *gexec.Session {
		GinkgoHelper()
		session, err := gexec.Start(here.script(ctx, "run", env), GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		return session
	}
	// Sessions go to Eventually alone: beside a context it prints them, while they
	// run, to see whether they are a duration.
	untilItRuns := func(ctx context.Context, s *gexec.Session) {
		GinkgoHelper()
		Eventually(s).WithContext(ctx).Should(gbytes.Say(`Dashboard  http://127\.0\.0\.1:\d+/#key=ea_\w+`))
	}
	// started are the processes that it has recorded, without the script.
	started := func() map[string]int {
		GinkgoHelper()
		records, err := filepath.Glob(filepath.Join(here.dir, "run", "*.pid"))
		Expect(err).NotTo(HaveOccurred())
		pids := map[string]int{}
		for _, r := range records {
			if name := strings.TrimSuffix(filepath.Base(r), ".pid"); name != "script" {
				pids[name] = here.pid("run/" + filepath.Base(r))
			}
		}
		for _, name := range []string{"api", "ingester", "rule-worker", "aggregator", "action-dispatcher", "webhook-sink"} {
			Expect(pids).To(HaveKey(name))
		}
		return pids
	}
	gone := func(pids map[string]int) {
		GinkgoHelper()
		for name, pid := range pids {
			Expect(running(pid)).To(BeFalse(), "%s, pid %d", name, pid)
		}
	}

	It("is over after RUN_SECONDS with a balance, and leaves nothing running", func(ctx SpecContext) {
		run := start(ctx, "RUN_SECONDS=3")
		untilItRuns(ctx, run)
		pids := started()
		Eventually(run).WithContext(ctx).Should(gexec.Exit(0))
		Expect(run.Out.Contents()).To(MatchRegexp(`Set-up took \d+ s\.`))
		for _, check := range []string{"events", "processed", "notifications", "webhooks", "drained", "metrics"} {
			Expect(string(run.Out.Contents())).To(MatchRegexp(`(?m)^ +ok +` + check))
		}
		gone(pids)
		Expect(here.succeed(ctx, "status")).To(And(ContainSubstring("mongodb: stopped"), ContainSubstring("rabbitmq: stopped")))
	}, NodeTimeout(8*time.Minute)) // it may have to build everything first

	It("is ended by make down when it was killed", func(ctx SpecContext) {
		run := start(ctx)
		untilItRuns(ctx, run)
		record := here.simulates(ctx)
		run.Kill()
		Eventually(run).WithContext(ctx).Should(gexec.Exit())
		pids := started()
		for name, pid := range pids {
			Expect(running(pid)).To(BeTrue(), name)
		}
		// A record that fits no process any more: its pid was given to another.
		stranger, err := gexec.Start(sleeper(ctx), nil, nil)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { stranger.Kill().Wait() })
		_, rest, _ := strings.Cut(here.read("run/simulate.pid"), " ")
		simulate := pids["simulate"]
		delete(pids, "simulate")
		DeferCleanup(func() { _ = syscall.Kill(simulate, syscall.SIGKILL) })
		Expect(os.WriteFile(record, recorded(stranger.Command.Process.Pid, rest), 0o644)).To(Succeed())

		Expect(here.succeed(ctx, "down")).To(MatchRegexp(`stopping what an earlier run left: .*api .*webhook-sink`))
		gone(pids)
		Expect(running(stranger.Command.Process.Pid)).To(BeTrue())
		Expect(here.succeed(ctx, "down")).To(ContainSubstring("Nothing that was started here is running"))
	}, NodeTimeout(3*time.Minute))

	It("exits 1 with the balance when something is not accounted for", func(ctx SpecContext) {
		run := start(ctx, "RUN_SECONDS=3")
		untilItRuns(ctx, run)
		uri, _ := here.addresses(ctx) // now: there is little time afterwards
		Eventually(run).WithContext(ctx).Should(gbytes.Say("Traffic has ended"))
		here.loseLastEvent(ctx, uri)
		Eventually(run).WithContext(ctx).Should(gexec.Exit(1))
		Expect(string(run.Out.Contents())).To(And(MatchRegexp(`(?m)^ +WRONG +events`), ContainSubstring("Stopping.")))
	}, NodeTimeout(4*time.Minute))

	It("exits 1 and stops the others when a process ends by itself", func(ctx SpecContext) {
		run := start(ctx)
		untilItRuns(ctx, run)
		here.simulates(ctx)
		pids := started()
		Expect(syscall.Kill(pids["rule-worker"], syscall.SIGKILL)).To(Succeed())
		Eventually(run).WithContext(ctx).Should(gexec.Exit(1))
		Expect(string(run.Err.Contents())).To(MatchRegexp(`rule-worker has stopped by itself \(log: .*/rule-worker\.log\)`))
		gone(pids)
	}, NodeTimeout(3*time.Minute))

	It("refuses to run twice in one place, and ends in order by Ctrl-C", func(ctx SpecContext) {
		cmd := here.script(ctx, "run", nil)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's foreground group
		run, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		untilItRuns(ctx, run)
		here.simulates(ctx)
		pids := started()

		second := start(ctx)
		Eventually(second).WithContext(ctx).Should(gexec.Exit(1))
		Expect(string(second.Err.Contents())).To(ContainSubstring("already running in this clone"))
		for name, pid := range pids {
			Expect(running(pid)).To(BeTrue(), name)
		}

		Expect(syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)).To(Succeed())
		Eventually(run).WithContext(ctx).Should(gexec.Exit())
		Expect(string(run.Out.Contents())).To(ContainSubstring("Stopping."))
		gone(pids)
	}, NodeTimeout(3*time.Minute))

	It("stops in order when make down is called beside it", func(ctx SpecContext) {
		run := start(ctx)
		untilItRuns(ctx, run)
		pids := started()
		Expect(here.succeed(ctx, "down")).To(ContainSubstring("asking it to stop"))
		Eventually(run).WithContext(ctx).Should(gexec.Exit())
		Expect(string(run.Out.Contents())).To(ContainSubstring("Stopping."))
		gone(pids)
	}, NodeTimeout(3*time.Minute))

	It("stops what it started when nobody reads on", func(ctx SpecContext) {
		reader, writer, err := os.Pipe()
		Expect(err).NotTo(HaveOccurred())
		cmd := here.script(ctx, "run", nil)
		cmd.Stdout = writer
		Expect(cmd.Start()).To(Succeed())
		Expect(writer.Close()).To(Succeed())
		untilItSays(reader, "Dashboard")
		pids := started()
		Expect(reader.Close()).To(Succeed())
		_ = cmd.Wait() // with whatever code
		gone(pids)
	}, NodeTimeout(3*time.Minute))
})

// simulates waits until there is traffic, and returns the record of who makes it.
func (p *place) simulates(ctx context.Context) (record string) {
	GinkgoHelper()
	record = filepath.Join(p.dir, "run", "simulate.pid")
	Eventually(ctx, record).Should(BeARegularFile())
	return record
}

// loseLastEvent takes the last event of the run's traffic, which has ended, out of
// the database as soon as it is processed. While there is traffic it could come
// back: one of fifty messages is a duplicate of an event before it.
func (p *place) loseLastEvent(ctx context.Context, uri string) {
	GinkgoHelper()
	ids := strings.Fields(p.read("run/ids"))
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(uri))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = client.Disconnect(ctx) }()
	events := client.Database("events_aggregator").Collection("events")
	Eventually(ctx, func() (int64, error) {
		result, err := events.DeleteOne(ctx, bson.D{{Key: "event_id", Value: ids[len(ids)-1]}, {Key: "processed", Value: true}})
		if err != nil {
			return 0, err
		}
		return result.DeletedCount, nil
	}).WithTimeout(30 * time.Second).WithPolling(20 * time.Millisecond).Should(BeEquivalentTo(1))
}

func sleeper(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "sleep", "300") }

// recorded is a record of scripts/infra.d/common.sh with another pid.
func recorded(pid int, rest string) []byte { return fmt.Appendf(nil, "%d %s\n", pid, rest) }

func untilItSays(r io.Reader, text string) {
	GinkgoHelper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	Fail("it ended without saying " + text)
}
