package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// As many dead letters as a measurement has events, of five causes; replayed at
// lettersRate.
const (
	lettersRate    = 2000
	lettersBrowses = 100
	lettersBrowsed = 200 // each time
)

// Names of figures.
const (
	lettersGroups   = "letters.groups"
	lettersRecorded = "letters.recorded"
	lettersReplay   = "letters.replay"
	lettersLost     = "letters.lost"
)

// refused are bodies that the ingester refuses, each for a reason of its own.
var refused = []string{
	`{"n":%d`,
	`{"n":%d,"source":"bench"}`,
	`{"n":%d,"type":"BENCH"}`,
	`{"n":%d,"type":"BENCH","source":"bench","severity":99}`,
	`{"n":%d,"type":"BENCH","source":"bench","timestamp":"yesterday"}`,
}

// deadLetters lets the ingester refuse messages, and times what an operator does
// about them: groups, looking, a replay that is killed in the middle.
func (b *bench) deadLetters(ctx context.Context, product build, f figures) (err error) {
	s, err := b.newSite(ctx, "letters-"+product.name, product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	dead, live := s.table.Work(topology.Ingest).Dead(), s.table.Work(topology.Ingest).Name
	if err := s.refuse(ctx, dead); err != nil {
		return err
	}
	if f[product.name+lettersGroups], err = s.timeGroups(s.eactl(ctx, "dlq", "groups", topology.Ingest, "-o", "json")); err != nil {
		return err
	}
	if f[product.name+lettersRecorded], err = s.recordedGroups(ctx); err != nil {
		return err
	}
	for range lettersBrowses {
		if out, err := s.eactl(ctx, "dlq", "list", topology.Ingest, "--limit", strconv.Itoa(lettersBrowsed), "-o", "json").Output(); err != nil || bytes.Count(out, []byte{'\n'}) != lettersBrowsed {
			return fmt.Errorf("eactl dlq list: %w, %d lines", err, bytes.Count(out, []byte{'\n'}))
		}
	}
	left, err := b.watcher.depth(dead)
	if err != nil || left != b.events {
		return errors.Join(err, fmt.Errorf("%d of %d dead letters are left after they were looked at", left, b.events))
	}
	if err := s.replayTwice(ctx, f, product.name, dead); err != nil {
		return err
	}
	err = await(ctx, "all dead letters back", 50*time.Millisecond, time.Minute, func() (bool, error) {
		n, err := b.watcher.depth(live)
		return n >= b.events, err
	})
	if err != nil {
		return err
	}
	n, err := b.watcher.depth(live)
	f[product.name+lettersLost] = float64(n - b.events)
	b.say("%sdead letters: groups of %d in %.1f s, of their records in %.1f s, %.2f of the replay's rate kept, %d given back twice by the death", product.name,
		b.events, f[product.name+lettersGroups], f[product.name+lettersRecorded], f[product.name+lettersReplay], n-b.events)
	return err
}

// timeGroups runs a command that groups all dead letters.
func (s *site) timeGroups(cmd *exec.Cmd) (seconds float64, err error) {
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 0, fmt.Errorf("%s: %w: %s", cmd, err, exit.Stderr)
	}
	if n, err := grouped(out); err != nil || n != s.events {
		return 0, errors.Join(err, fmt.Errorf("%d dead letters in groups of %d: %s", n, s.events, out))
	}
	return took.Seconds(), nil
}

// recordedGroups has the aggregator record all dead letters, and times how the API
// groups the records.
func (s *site) recordedGroups(ctx context.Context) (seconds float64, err error) {
	aggregator, err := s.start("aggregator")
	if err != nil {
		return 0, err
	}
	err = await(ctx, "records", 200*time.Millisecond, longest, func() (bool, error) {
		left, err := s.watcher.depth(s.table.Work(topology.DeadLetters).Name)
		return left == 0, errors.Join(err, aggregator.runs())
	})
	if err = errors.Join(err, aggregator.terminate()); err != nil { // what it holds is recorded then
		return 0, err
	}
	api, err := s.start("api", "EA_API_BOOTSTRAP_ADMIN_KEY="+lettersKey)
	if err != nil {
		return 0, err
	}
	if err := api.ready(ctx); err != nil {
		return 0, err
	}
	cmd := s.eactl(ctx, "dlq", "groups", topology.Ingest, "--recorded", "-o", "json")
	cmd.Env = append(cmd.Env, "EA_API_URL=http://"+api.public, "EA_API_KEY="+lettersKey)
	seconds, err = s.timeGroups(cmd)
	return seconds, errors.Join(err, api.terminate())
}

// lettersKey is the first admin's.
const lettersKey = "bench-key-of-the-first-admin"

// refuse makes the dead letters.
func (s *site) refuse(ctx context.Context, dead string) error {
	exchange := s.table.Exchange(topology.ExchangeEvents)
	p, err := s.start("ingester")
	if err != nil {
		return err
	}
	for from := 0; from < s.events; from += chunk {
		messages := make([]broker.Message, min(chunk, s.events-from))
		for i := range messages {
			n := from + i
			messages[i] = broker.Message{Exchange: exchange, RoutingKey: "events.bench", MessageID: strconv.Itoa(n), ContentType: "application/json",
				Body: fmt.Appendf(nil, refused[n%len(refused)], n)}
		}
		if err := s.publisher.Publish(ctx, messages...); err != nil {
			return err
		}
	}
	err = await(ctx, "dead letters", 50*time.Millisecond, longest, func() (bool, error) {
		n, err := s.watcher.depth(dead)
		return n == s.events, errors.Join(err, p.runs())
	})
	return errors.Join(err, p.terminate())
}

// replayTwice kills a replay in the middle and runs it again. The figure is the
// part of the rate that was kept, the one that is farther from it.
func (s *site) replayTwice(ctx context.Context, f figures, name, dead string) error {
	for _, kill := range []bool{true, false} {
		first, err := s.watcher.depth(dead)
		if err != nil {
			return err
		}
		cmd := s.eactl(ctx, "dlq", "replay", topology.Ingest, "--rate", strconv.Itoa(lettersRate), "-o", "json")
		p, err := launch(cmd, cmd.Env)
		if err != nil {
			return err
		}
		half, from, to := s.events/2, 0, 0
		var began time.Time
		rate := 0.0
		err = await(ctx, "a replay", 2*time.Millisecond, longest, func() (bool, error) {
			left, err := s.watcher.depth(dead)
			ended := false
			select {
			case <-p.ended:
				ended = true
			default:
			}
			switch {
			case err != nil:
				return false, err
			case began.IsZero() && left > 0 && first-left > lettersRate/10: // it has begun
				from, began = left, time.Now()
			case !began.IsZero() && to == 0 && from-left >= half*8/10:
				to = left
				rate = float64(from-to) / time.Since(began).Seconds()
			}
			return ended || kill && to > 0 && first-left >= half, nil
		})
		if err != nil {
			return err
		}
		if kill {
			p.kill()
		} else {
			<-p.ended
			if !p.cmd.ProcessState.Success() {
				return fmt.Errorf("eactl dlq replay: %s", p.cmd.ProcessState)
			}
		}
		kept := rate / lettersRate
		if before := f[name+lettersReplay]; before == 0 || abs(kept-1) > abs(before-1) {
			f[name+lettersReplay] = kept
		}
	}
	left, err := s.watcher.depth(dead)
	if err == nil && left != 0 {
		err = fmt.Errorf("%d dead letters are left after the replay", left)
	}
	return err
}

func abs(v float64) float64 { return max(v, -v) }

// eactl needs RabbitMQ alone.
func (s *site) eactl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "eactl"), args...)
	cmd.Env = append(cleanEnviron(), "EA_AMQP_URL="+s.amqpURL, "EA_BROKER_PREFIX="+s.prefix)
	return cmd
}

// grouped adds the groups up; there must be as many as there are causes.
func grouped(lines []byte) (messages int, err error) {
	groups := 0
	for line := range bytes.Lines(lines) {
		var g struct {
			Messages int `json:"messages"`
		}
		if err := json.Unmarshal(line, &g); err != nil {
			return 0, err
		}
		groups, messages = groups+1, messages+g.Messages
	}
	if groups != len(refused) {
		return messages, fmt.Errorf("%d groups of %d causes", groups, len(refused))
	}
	return messages, nil
}
