package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	apiKey = "ea_bench-api-0123456789abcdef"
	// apiSamples is how often each call is made, one after the other; a slow one
	// less often, but apiLeast times.
	apiSamples, apiLeast = 200, 10
	apiPatience          = 20 * time.Second
)

// Names of figures; a call's name stands behind apiCalls.
const (
	apiCalls  = "api."
	apiWrong  = "api.wrong"
	apiExport = "api.export."
	ofRate    = ".rate"
)

// api starts one api process beside two days of stored events and asks it
// everything that people ask, one question at a time.
func (b *bench) api(ctx context.Context, product build, f figures) (err error) {
	own := *b
	own.events = b.stored
	s, err := own.newSite(ctx, "api-"+product.name, product.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	h := newHistory(b.stored, b.nextRun(), time.Now().UTC())
	if err := s.storeHistory(ctx, h); err != nil {
		return err
	}
	p, err := s.startAPI(ctx)
	if err != nil {
		return err
	}
	for _, c := range calls(h) {
		if err := s.measureCall(ctx, p, product.name, c, f); err != nil {
			return err
		}
	}
	if err := p.terminate(); err != nil {
		return err
	}
	for _, format := range exportFormats {
		if err := s.measureExport(ctx, h, product.name, format, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) startAPI(ctx context.Context) (*process, error) {
	p, err := s.start("api", "EA_API_RATE_LIMIT=1000000", "EA_API_RATE_BURST=1000000", "EA_API_SEARCH_TIMEOUT=25s", "EA_API_ANALYTICS_TIMEOUT=25s")
	if err == nil {
		err = p.ready(ctx)
	}
	return p, err
}

// measureCall notes how long a call's answers take, and how many are not what
// they must be.
func (s *site) measureCall(ctx context.Context, p *process, build string, c call, f figures) error {
	var took []float64
	var first error
	before, err := s.used(p)
	if err != nil {
		return err
	}
	wrong, began := 0, time.Now()
	for n := 0; n < apiSamples && (n < apiLeast || time.Since(began) < apiPatience); n++ {
		q := c.ask(n)
		q.query = maps.Clone(q.query) // pages add their cursors
		for page := 0; page <= c.more; page++ {
			asked := time.Now()
			body, err := p.get(ctx, q.path, q.query)
			took = append(took, float64(time.Since(asked).Microseconds())/1000)
			cursor := ""
			if err == nil {
				cursor, err = q.check(body, page)
			}
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				if wrong++; first == nil {
					first = fmt.Errorf("%s?%s: %w", q.path, q.query.Encode(), err)
				}
				break
			}
			if cursor == "" {
				break
			}
			q.query.Set("cursor", cursor)
		}
	}
	after, err := s.used(p)
	if err != nil {
		return err
	}
	note(f, build+apiCalls+c.name, before, after, len(took))
	slices.Sort(took)
	f[build+apiCalls+c.name] = rank(took, 99)
	f[build+apiWrong] += float64(wrong)
	// On a busy machine the processor time says more than the clock does.
	of := func(name string) float64 { return f[build+apiCalls+c.name+usedBy+name] / 1000 }
	s.say("%s%s: p50 %.1f ms, p99 %.1f ms of %d; processor time %.1f ms of %s, %.1f of api", build, c.name,
		rank(took, 50), rank(took, 99), len(took), of(mongodb), mongodb, of(p.name))
	if first != nil {
		s.say("  %d answers are wrong, or none: %v", wrong, first)
	}
	return nil
}

func (p *process) request(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.public+"/api/v1"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	return http.DefaultClient.Do(request)
}

func (p *process) get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	answer, err := p.request(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.300s", answer.Status, body)
	}
	return body, err
}

var exportFormats = []string{"ndjson", "csv"}

// measureExport has a process of its own write all events, so that its peak is
// the export's.
func (s *site) measureExport(ctx context.Context, h history, build, format string, f figures) error {
	p, err := s.startAPI(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := p.request(ctx, "/events/export", url.Values{"format": {format}})
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	lines, size := 0, 0
	reader := bufio.NewReaderSize(answer.Body, 1<<20)
	for {
		line, err := reader.ReadSlice('\n')
		size += len(line)
		if err == nil {
			lines++
			continue
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		return fmt.Errorf("export %s: line %d: %w", format, lines, err)
	}
	took := time.Since(began).Seconds()
	want := h.n
	if format == "csv" {
		want++ // the names of the columns
	}
	if told := answer.Trailer.Get("X-Export-Events"); answer.StatusCode != http.StatusOK || lines != want || told != strconv.Itoa(h.n) {
		return fmt.Errorf("export %s: %s, %d lines of %d, its trailer says %q", format, answer.Status, lines, want, told)
	}
	memory, err := p.peakMemory()
	if err != nil {
		return err
	}
	f[build+apiExport+format+memoryOf], f[build+apiExport+format+ofRate] = memory, float64(h.n)/took
	s.say("%sexport of %d events as %s: %.0f events/s, %.0f MB, %.0f MiB resident at most", build, h.n, format, float64(h.n)/took, float64(size)/1e6, memory)
	return p.terminate()
}

// apiRows are the goals of what an api answers.
func apiRows(build string) []row {
	value := func(name string) func(figures) float64 { return func(f figures) float64 { return f[build+name] } }
	var table []row
	for _, c := range calls(history{n: 2}) {
		table = append(table, row{part: "api", name: c.name + ", p99 ms", value: value(apiCalls + c.name), goal: c.goal, most: true, once: true, format: "%.1f"})
	}
	table = append(table, row{part: "api", name: "answers that are wrong, or none", value: value(apiWrong), most: true, zero: true, once: true})
	for _, format := range exportFormats {
		table = append(table,
			row{part: "api", name: "api exporting all as " + format + ", peak MiB", value: value(apiExport + format + memoryOf), goal: 150, most: true, once: true},
			row{part: "api", name: "events/s of it", value: value(apiExport + format + ofRate), once: true})
	}
	return table
}

// listed is a page of any list.
type listed struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor"`
}
