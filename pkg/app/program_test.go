package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// program is a binary without an operating system around it.
type program struct {
	app.Program
	out, err *gbytes.Buffer
	signals  chan os.Signal
}

func newProgram(wire app.Wire, environ []string, args ...string) program {
	p := program{out: gbytes.NewBuffer(), err: gbytes.NewBuffer(), signals: make(chan os.Signal, 4)}
	p.Program = app.Program{
		Name: "ingester", Wire: wire, Args: args, Environ: environ, Stdout: p.out, Stderr: p.err, Signals: p.signals,
	}
	return p
}

// start runs the program beside the spec; its exit code comes from the channel.
func (p program) start() <-chan int {
	code := make(chan int, 1)
	go func() { code <- p.Run() }()
	return code
}

var _ = Describe("a binary's command line", func() {
	BeforeEach(leakless)

	It("exits 2 on a bad configuration and names every mistake", func() {
		file := filepath.Join(GinkgoT().TempDir(), "ea.yaml")
		Expect(os.WriteFile(file, []byte("ingester:\n  writers: none\n"), 0o600)).To(Succeed())
		p := newProgram(nothing, []string{
			"EA_LOG_LEVLE=debug", "EA_MONGO_URI=mongodb://u:hush@db/?w=1", "EA_DISPATCHER_SCHEDULE=1s,7m",
			"EA_DISPATCHER_SCHEDULES=webhooks.critical=1s+2m+3m+2m,webhooks.default=1m+5h,mail=1s",
		}, "--config", file, "--set", "ingester.nonsense=1")
		Expect(p.Run()).To(Equal(2))
		said := string(p.err.Contents())
		Expect(said).To(HavePrefix("ingester: bad configuration, 9 problems:\n"))
		Expect(said).To(And(
			ContainSubstring(`ingester.writers (`+file+`:2): "none": expected a whole number`),
			ContainSubstring("EA_LOG_LEVLE: unknown variable; did you mean EA_LOG_LEVEL?"),
			ContainSubstring("ingester.nonsense (--set): unknown key"),
			ContainSubstring("mongo.uri (EA_MONGO_URI): MongoDB connection string: w=1 is weaker"),
			ContainSubstring("dispatcher.schedule (EA_DISPATCHER_SCHEDULE): 7m0s is no retry tier; declared are [1s 10s 1m0s 10m0s 1h0m0s 6h0m0s]"),
			ContainSubstring("dispatcher.schedules (EA_DISPATCHER_SCHEDULES): webhooks.critical: 2m0s is no retry tier"),
			ContainSubstring("dispatcher.schedules (EA_DISPATCHER_SCHEDULES): webhooks.critical: 3m0s is no retry tier"),
			ContainSubstring("dispatcher.schedules (EA_DISPATCHER_SCHEDULES): webhooks.default: 5h0m0s is no retry tier"),
			ContainSubstring("dispatcher.schedules (EA_DISPATCHER_SCHEDULES): mail is not in dispatcher.queues"),
		))
		Expect(said).NotTo(ContainSubstring("hush"))
	})

	DescribeTable("answers without servers", func(code int, out, err string, args ...string) {
		p := newProgram(nothing, nil, args...)
		Expect(p.Run()).To(Equal(code))
		Expect(string(p.out.Contents())).To(ContainSubstring(out))
		Expect(string(p.err.Contents())).To(ContainSubstring(err))
	},
		Entry("its version", 0, "ingester ", "", "--version"),
		Entry("its help with examples", 0, "ingester --set shutdown.drain_timeout=30s", "", "--help"),
		Entry("config print", 0, "writers: 7  # --set", "", "config", "print", "--set", "ingester.writers=7"),
		Entry("config print with its admin address", 0, "addr: 127.0.0.1:9101", "", "config", "print"),
		Entry("config check", 0, "configuration is good: 1 settings given", "", "config", "check", "--log-level", "warn"),
		Entry("config check, bad", 2, "", `log.level (--set): "loud"`, "config", "check", "--log-level", "loud"),
		Entry("a flag that does not exist", 2, "", "unknown flag: --nonsense", "--nonsense"),
		Entry("a command that does not exist", 2, "", `unknown command "nonsense"`, "nonsense"),
	)

	It("prints no secret with config print", func() {
		p := newProgram(nothing, []string{"EA_AMQP_URL=amqp://u:hush@mq/"}, "config", "print")
		Expect(p.Run()).To(BeZero())
		Expect(string(p.out.Contents())).To(And(ContainSubstring("amqp://u:********@mq/"), Not(ContainSubstring("hush"))))
	})
})

var _ = Describe("a binary that runs", func() {
	var environ []string
	BeforeEach(func(ctx SpecContext) {
		leakless()
		f := fleet.New(ctx)
		environ = []string{
			"EA_MONGO_URI=" + f.MongoURI, "EA_MONGO_DATABASE=" + f.Database, "EA_AMQP_URL=" + f.AMQPURL,
			"EA_BROKER_PREFIX=" + f.Prefix, "EA_ADMIN_ADDR=127.0.0.1:0",
		}
	}, NodeTimeout(time.Minute))

	It("exits 0 after SIGTERM", func(ctx SpecContext) {
		p := newProgram(nothing, environ)
		code := p.start()
		Eventually(p.err).WithContext(ctx).WithTimeout(10 * time.Second).Should(gbytes.Say(`"message":"working"`))
		p.signals <- syscall.SIGTERM
		Eventually(ctx, code).WithTimeout(10 * time.Second).Should(Receive(Equal(0)))
		Expect(p.err).To(gbytes.Say(`"message":"stopped"`))
	}, SpecTimeout(30*time.Second))

	It("exits 1 at once at the second signal", func(ctx SpecContext) {
		release := make(chan struct{})
		p := newProgram(func(_ context.Context, p *app.Process) error {
			p.Go("stubborn", func(context.Context) error { <-release; return nil })
			return nil
		}, environ)
		code := p.start()
		Eventually(p.err).WithContext(ctx).WithTimeout(10 * time.Second).Should(gbytes.Say("working"))
		p.signals <- syscall.SIGINT
		p.signals <- syscall.SIGINT // the same one, to the process group
		Consistently(ctx, code).WithTimeout(300 * time.Millisecond).ShouldNot(Receive())
		p.signals <- syscall.SIGTERM
		Eventually(ctx, code).WithTimeout(10 * time.Second).Should(Receive(Equal(1)))
		Expect(p.err).To(gbytes.Say("second signal"))
		close(release)
	}, SpecTimeout(30*time.Second))

	It("exits 1 when a worker fails, and says why once", func(ctx SpecContext) {
		p := newProgram(func(_ context.Context, p *app.Process) error {
			p.Go("frail", func(context.Context) error { return errors.New("disk full") })
			return nil
		}, environ)
		Eventually(ctx, p.start()).WithTimeout(10 * time.Second).Should(Receive(Equal(1)))
		Expect(strings.Count(string(p.err.Contents()), "disk full")).To(Equal(1))
		Expect(p.err).To(gbytes.Say("process failed.*worker frail: disk full"))
	}, SpecTimeout(30*time.Second))

	It("reads its configuration again at SIGHUP, and keeps the old one when the new one is bad", func(ctx SpecContext) {
		file := filepath.Join(GinkgoT().TempDir(), "ea.yaml")
		write := func(text string) { Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed()) }
		write("log: {level: info}\n")
		said, heard := make(chan string), make(chan struct{})
		say := func(line string) {
			GinkgoHelper()
			Eventually(ctx, said).Should(BeSent(line))
			Eventually(ctx, heard).Should(Receive())
		}
		p := newProgram(func(_ context.Context, p *app.Process) error {
			p.Go("talker", func(ctx context.Context) error {
				for {
					select {
					case s := <-said:
						p.Log.Debug(s)
						heard <- struct{}{}
					case <-ctx.Done():
						return nil
					}
				}
			})
			return nil
		}, environ, "--config", file)
		code := p.start()
		Eventually(p.err).WithContext(ctx).WithTimeout(10 * time.Second).Should(gbytes.Say("working"))
		say("before")
		write("log: {level: debug}\nsweep: {limit: 7}\n")
		p.signals <- syscall.SIGHUP
		Eventually(p.err).WithContext(ctx).Should(gbytes.Say(`configuration read again.*"applied":\["log.level"\],"need_restart":\["sweep.limit"\]`))
		say("after")
		Eventually(p.err).WithContext(ctx).Should(gbytes.Say(`"message":"after"`))
		write("log: {level: loud}\nsweep: {limit: 0}\n")
		p.signals <- syscall.SIGHUP
		Eventually(p.err).WithContext(ctx).Should(gbytes.Say("configuration refused, the running one is kept.*loud"))
		Eventually(p.err).WithContext(ctx).Should(gbytes.Say("configuration refused, the running one is kept.*sweep.limit"))
		say("still")
		Eventually(p.err).WithContext(ctx).Should(gbytes.Say(`"message":"still"`))
		Expect(string(p.err.Contents())).NotTo(ContainSubstring(`"message":"before"`))
		p.signals <- syscall.SIGTERM
		Eventually(ctx, code).WithTimeout(10 * time.Second).Should(Receive(Equal(0)))
	}, SpecTimeout(30*time.Second))

	It("has the commands of its service, with flags, store and exit codes of their own", func(ctx SpecContext) {
		var deep bool
		verify := app.Command{
			Use: "verify [name]", Short: "Verify", Flags: func(s *pflag.FlagSet) { s.BoolVar(&deep, "deep", false, "look closely") },
			Run: func(ctx context.Context, p *app.Process, args []string) error {
				if err := p.Store.Check(ctx); err != nil {
					return err
				}
				fmt.Fprintln(p.Out, "verified", args, deep)
				if len(args) > 1 {
					return &app.ExitError{Code: 3, Err: errors.New("drift found")}
				}
				return nil
			},
		}
		p := newProgram(nothing, environ, "verify", "a", "--deep")
		p.Commands = []app.Command{verify}
		Eventually(ctx, p.start()).WithTimeout(10 * time.Second).Should(Receive(Equal(0)))
		Expect(p.out).To(gbytes.Say(`verified \[a\] true`))

		p = newProgram(nothing, environ, "verify", "a", "b")
		p.Commands = []app.Command{verify}
		Eventually(ctx, p.start()).WithTimeout(10 * time.Second).Should(Receive(Equal(3)))
		Expect(p.err).To(gbytes.Say("ingester: drift found"))

		p = newProgram(nothing, environ, "verify", "--log-level", "loud")
		p.Commands = []app.Command{verify}
		Expect(p.Run()).To(Equal(2))
	}, SpecTimeout(30*time.Second))

	It("ends a command with the first signal", func(ctx SpecContext) {
		p := newProgram(nothing, environ, "wait")
		p.Commands = []app.Command{{Use: "wait", Run: func(ctx context.Context, _ *app.Process, _ []string) error {
			<-ctx.Done()
			return ctx.Err()
		}}}
		code := p.start()
		p.signals <- syscall.SIGINT
		Eventually(ctx, code).WithTimeout(10 * time.Second).Should(Receive(Equal(1)))
	}, SpecTimeout(30*time.Second))
})
