package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
	"github.com/events-aggregator/events-aggregator/test/support/crowd"
)

// A crowd of live clients with filters of their own, cut at random, while the
// api is killed twice and the database restarted once.
const (
	crowdStays = 10 * time.Second
	crowdAway  = 10 * time.Second
	// crowdBack is how long a killed api stays away.
	crowdBack = 500 * time.Millisecond
	// crowdStrikes are two deaths of api and a restart of the database, which
	// nobody restarts who did not start it.
	crowdStrikes = 3
	// crowdEnd bounds what is told after the load.
	crowdEnd = 3 * time.Minute
)

// liveSockets is how many of the clients beside the others use a WebSocket.
func liveSockets(s settings) int { return s.liveClients / 5 }

// Names of figures.
const (
	crowdRate     = live + ".crowd.rate"
	crowdCuts     = live + ".crowd.cuts"
	crowdFrames   = live + ".crowd.frames"
	crowdMissing  = live + ".crowd.missing"
	crowdRepeated = live + ".crowd.repeated"
	crowdDisorder = live + ".crowd.disorder"
	crowdBeyond   = live + ".crowd.beyond"
	crowdGaps     = live + ".crowd.gaps"
	crowdSlow     = live + ".crowd.slow"
	crowdDeaths   = live + ".crowd.deaths"
	crowdMemory   = live + ".crowd.memory"
)

func liveResumeRows(build string) []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[build+name] } }
	return []row{
		{part: live, name: "events/s to a crowd that is cut at random", value: value(crowdRate), once: true},
		{part: live, name: "cuts", value: value(crowdCuts), once: true},
		{part: live, name: "deaths of api, and restarts of the database", value: value(crowdDeaths), goal: crowdStrikes, once: true},
		{part: live, name: "frames told", value: value(crowdFrames), once: true},
		{part: live, name: "frames missing", value: value(crowdMissing), most: true, zero: true, once: true},
		{part: live, name: "frames repeated", value: value(crowdRepeated), most: true, zero: true, once: true},
		{part: live, name: "frames out of order", value: value(crowdDisorder), most: true, zero: true, once: true},
		{part: live, name: "frames not stored or not asked for", value: value(crowdBeyond), most: true, zero: true, once: true},
		{part: live, name: "gaps that are none", value: value(crowdGaps), most: true, zero: true, once: true},
		{part: live, name: "streams let go as too slow", value: value(crowdSlow), zero: true, once: true},
		{part: live, name: "api with the crowd, peak MiB", value: value(crowdMemory), once: true},
	}
}

// liveResume lets a crowd follow a steady load through deaths, and compares what
// each was told with what is stored.
func (b *bench) liveResume(ctx context.Context, product build, f figures) (err error) {
	own := *b // with as many events as are published
	s, err := own.newSite(ctx, "crowd-"+product.name, product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	ingester, err := s.start("ingester")
	if err == nil {
		err = ingester.ready(ctx)
	}
	if err != nil {
		return err
	}
	public, err := freeAddress()
	if err != nil {
		return err
	}
	api, err := s.startLiveAt(ctx, public)
	if err != nil {
		return err
	}
	c := crowd.Start(ctx, crowd.Options{Base: "http://" + public, Key: liveKey, SSE: b.liveClients, Sockets: liveSockets(b.settings),
		Types: load.Types(), Stays: crowdStays, Away: crowdAway, Seed: 1008})
	defer c.Stop()
	coming, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := c.Begin(coming, s.store); err != nil {
		return err
	}
	began := time.Now()
	published := make(chan error, 1)
	during, end := context.WithTimeout(ctx, b.liveTime)
	defer end()
	go func() { published <- s.steadyLoad(ctx, during) }()
	deaths, memory, err := s.strikeLive(ctx, public, api)
	if err = errors.Join(err, <-published); err != nil {
		return err
	}
	if _, err := s.done(ctx, store.Published); err != nil {
		return err
	}
	f[product.name+crowdRate] = float64(s.events) / time.Since(began).Seconds()
	c.Calm()
	ending, stop := context.WithTimeout(ctx, crowdEnd)
	defer stop()
	r, err := c.Compare(ending, s.store)
	if err != nil {
		return err
	}
	b.say("%slive: %s", product.name, r)
	for name, n := range map[string]int{crowdCuts: r.Cuts, crowdFrames: r.Frames, crowdMissing: r.Missing, crowdRepeated: r.Repeated,
		crowdDisorder: r.Disordered, crowdBeyond: r.Beyond, crowdGaps: r.Gaps, crowdSlow: r.Slow, crowdDeaths: deaths} {
		f[product.name+name] = float64(n)
	}
	f[product.name+crowdMemory] = memory
	return nil
}

// steadyLoad publishes at liveRate for some time, and notes how many.
func (s *site) steadyLoad(ctx, during context.Context) error {
	exchange, run := s.table.Exchange(topology.ExchangeEvents), s.nextRun()
	ticker := time.NewTicker(liveTick)
	defer ticker.Stop()
	s.events = 0
	for began := time.Now(); during.Err() == nil; {
		var messages []broker.Message
		for owed := int(liveRate * time.Since(began).Seconds()); s.events < owed; s.events++ {
			key, body := s.load.Event(run, s.events, time.Now())
			messages = append(messages, broker.Message{Exchange: exchange, RoutingKey: key, ContentType: "application/json", Body: body})
		}
		if err := s.publisher.Publish(ctx, messages...); err != nil {
			return err
		}
		<-ticker.C
	}
	return nil
}

// strikeLive kills the api, restarts the database, and kills the api again, with
// quarters of the time in between.
func (s *site) strikeLive(ctx context.Context, public string, api *process) (struck int, memory float64, err error) {
	kill := func() error {
		peak, err := api.peakMemory()
		if err != nil {
			return err
		}
		memory = max(memory, peak)
		api.kill()
		s.processes = s.processes[:len(s.processes)-1]
		if err = pause(ctx, crowdBack); err == nil {
			api, err = s.startLiveAt(ctx, public)
		}
		return err
	}
	restart := func() error {
		if s.restart == "" {
			struck--
			return nil
		}
		return s.restartDatabase(ctx)
	}
	for _, strike := range []func() error{kill, restart, kill} {
		if err := pause(ctx, s.liveTime/4); err != nil {
			return struck, memory, err
		}
		if err := strike(); err != nil {
			return struck, memory, err
		}
		struck++
	}
	peak, err := api.peakMemory()
	return struck, max(memory, peak), err
}

// restartDatabase runs what the caller gave for it, which says the new process id
// at its end.
func (s *site) restartDatabase(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", s.restart)
	cmd.WaitDelay = time.Second // a server that held the output open would hold its caller
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return fmt.Errorf("restart the database: %w: %s", err, out)
	}
	lines := strings.Fields(string(out))
	s.servers[mongodb], err = strconv.Atoi(lines[len(lines)-1])
	return err
}

// eventID is the id in an event's JSON, empty when there is none.
func eventID(data string) string {
	var e struct {
		ID string `json:"event_id"`
	}
	if json.Unmarshal([]byte(data), &e) != nil {
		return ""
	}
	return e.ID
}
