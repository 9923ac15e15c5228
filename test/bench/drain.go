package main

import (
	"context"
	"fmt"
	"time"
)

// drain times a process that empties a queue, by the queue's own depth between
// 90 % and 10 %, so that start and end do not count: the same for the product
// and for the bound.
func (b *bench) drain(ctx context.Context, f figures, name, queue string, p *process) error {
	from, to := b.events*9/10, b.events/10
	var began time.Time
	var before map[string]time.Duration
	first := 0
	return await(ctx, "drain of "+queue, 10*time.Millisecond, longest, func() (bool, error) {
		if err := p.runs(); err != nil {
			return false, err
		}
		left, err := b.watcher.depth(queue)
		switch {
		case err != nil:
		case before == nil && left <= from:
			first, began = left, time.Now()
			before, err = b.used(p)
		case before != nil && left <= to:
			f[name] = float64(first-left) / time.Since(began).Seconds()
			return true, b.noteUsed(f, name, before, first-left, p)
		}
		return false, err
	})
}

// longest bounds a measurement: 100,000 events at 170 a second.
const longest = 10 * time.Minute

// used is the processor time so far of the servers, where they are known, and
// of some processes.
func (b *bench) used(processes ...*process) (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	for name, pid := range b.servers {
		var err error
		if used[name], err = processorTime(pid); err != nil {
			return nil, err
		}
	}
	for _, p := range processes {
		of, err := processorTime(p.cmd.Process.Pid)
		if err != nil {
			return nil, fmt.Errorf("%w; %w", err, p.runs())
		}
		used[p.name] += of // of several processes of one name
	}
	return used, nil
}

// noteUsed notes what each used since before, an event.
func (b *bench) noteUsed(f figures, name string, before map[string]time.Duration, events int, processes ...*process) error {
	after, err := b.used(processes...)
	note(f, name, before, after, events)
	return err
}

func note(f figures, name string, before, after map[string]time.Duration, events int) {
	for who := range after {
		f[name+usedBy+who] = float64((after[who] - before[who]).Microseconds()) / float64(events)
	}
}
