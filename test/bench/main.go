// Command bench measures the product beside the bounds of anchors/, all on the
// same servers in the same run, round after round. A rate alone says nothing: a
// machine can be twice as fast an hour later. So every figure is compared with
// the bound of its own round, and what is printed are medians over the rounds.
//
// The exit code says whether everything was measured, not how fast it was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	s := settings{mongoURI: os.Getenv("EA_MONGO_URI"), amqpURL: os.Getenv("EA_AMQP_URL")}
	var only, servers string
	flag.IntVar(&s.rounds, "rounds", 5, "how often everything is measured")
	flag.IntVar(&s.events, "events", 100_000, "events of one measurement")
	flag.IntVar(&s.stored, "stored", 1_000_000, "events that are stored already when the api is asked")
	flag.StringVar(&s.bin, "bin", "bin", "the product's binaries, and anchors")
	flag.StringVar(&s.base, "base", "", "other binaries of the product to measure in the same rounds, for comparison")
	flag.StringVar(&only, "only", strings.Join(parts, ","), "parts to measure")
	flag.IntVar(&s.liveClients, "live-clients", 1000, "live clients of server-sent events; a fifth as many use a WebSocket")
	flag.DurationVar(&s.liveTime, "live-time", time.Minute, "how long a crowd of them is cut and resumes")
	flag.StringVar(&s.restart, "restart", "", "a command that restarts the database and prints its process id last, for part live; without it, it is not restarted")
	flag.StringVar(&servers, "servers", "", "process ids of servers on this machine, as rabbitmq=123,mongodb=124, to say what they use")
	flag.Parse()
	var err error
	if s.servers, err = parseServers(servers); err != nil {
		return err
	}
	s.only = strings.FieldsFunc(only, func(r rune) bool { return r == ',' || r == ' ' })
	for _, part := range s.only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only %s: the parts are %s", part, strings.Join(parts, ", "))
		}
	}
	if s.rounds < 1 || s.events < 1000 || s.stored < 10_000 || s.stored > storedMost {
		return fmt.Errorf("-rounds must be 1 or more, -events 1000 or more, -stored 10000 to %d", storedMost)
	}
	if s.liveClients < liveFewer || s.liveTime < time.Second {
		return fmt.Errorf("-live-clients must be %d or more, -live-time 1s or more", liveFewer)
	}
	if s.needsServers() && (s.mongoURI == "" || s.amqpURL == "") {
		return errors.New("EA_MONGO_URI and EA_AMQP_URL must name servers: run by `make bench`")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measure(ctx, s, out)
}

// parts of a round.
var parts = []string{"ingest", "pipeline", "windows", "timers", "webhooks", "isolation", "dispatchers", "letters", live, "api", "dashboard", "rules"}

// settings of a run.
type settings struct {
	mongoURI, amqpURL string
	rounds, events    int
	stored            int // by the part api
	bin, base         string
	only              []string
	servers           map[string]int // process ids
	liveClients       int
	liveTime          time.Duration
	restart           string // a command
}

func parseServers(list string) (map[string]int, error) {
	servers := map[string]int{}
	for item := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' }) {
		name, number, _ := strings.Cut(item, "=")
		pid, err := strconv.Atoi(number)
		if err != nil || name != rabbitmq && name != mongodb {
			return nil, fmt.Errorf("-servers %s: want %s=PID or %s=PID", item, rabbitmq, mongodb)
		}
		servers[name] = pid
	}
	return servers, nil
}

// needsServers: the rule index alone needs none.
func (s settings) needsServers() bool {
	return slices.ContainsFunc(s.only, func(part string) bool { return part != "rules" })
}

func (s settings) wants(part string) bool { return slices.Contains(s.only, part) }

// measure goes through the rounds and prints the table.
func measure(ctx context.Context, s settings, out io.Writer) error {
	b, err := newBench(ctx, s, out)
	if err != nil {
		return err
	}
	defer b.close()
	began := time.Now()
	fmt.Fprintf(out, "%d rounds of %d events on %d cores\n", s.rounds, s.events, runtime.NumCPU())
	var rounds []figures
	for n := range s.rounds {
		if n > 0 {
			left := time.Since(began) / time.Duration(n) * time.Duration(s.rounds-n)
			fmt.Fprintf(out, "round %d of %d, about %s left\n", n+1, s.rounds, left.Round(10*time.Second))
		} else {
			fmt.Fprintf(out, "round 1 of %d\n", s.rounds)
		}
		f, err := b.round(ctx, n)
		if err != nil {
			return err
		}
		rounds = append(rounds, f)
	}
	report(out, s, rounds)
	return nil
}
