package live

import (
	"sync/atomic"
	"time"
)

// Memory bounds what the logs of several hubs hold together: changes, and their
// JSON. When it is used up, a log gives up its oldest changes until it has its
// share, as soon as it is written to, JSON is made for it, or its stream says that
// nothing is new, or fails; one that catches up has patience with its clients
// before it is written to. Until then they may hold more, since shares become
// smaller when another log begins.
type Memory struct {
	most  int64
	held  atomic.Int64
	lines atomic.Int64
}

// NewMemory bounds it to so many bytes.
func NewMemory(most int64) *Memory { return &Memory{most: most} }

// Held is how many bytes the logs hold now.
func (m *Memory) Held() int64 { return m.held.Load() }

// short says whether more bytes are too much.
func (m *Memory) short(more int64) bool { return m.held.Load()+more > m.most }

// heavy says whether the log must give something up for more bytes.
func (l *line) heavy(more int64) bool {
	return l.memory.short(more) && l.bytes+more > l.memory.most/max(1, l.memory.lines.Load())
}

// weigh counts bytes of an entry that is in the log.
func (l *line) weigh(e *entry, bytes int64) {
	e.bytes += bytes
	l.bytes += bytes
	l.memory.held.Add(bytes)
}

// forget gives up the log's oldest change.
func (l *line) forget() {
	oldest := l.at(l.first)
	l.weigh(oldest, -oldest.bytes)
	oldest.line = nil
	if l.first >= l.from {
		l.base = oldest.place
	}
	l.log[l.first%uint64(len(l.log))] = nil
	l.first++
}

// trim gives up what is too much, but the newest change.
func (l *line) trim() {
	for l.next-l.first > 1 && l.heavy(0) {
		l.forget()
	}
}

// over keeps the log of a line that reads nothing more for the members that have
// not read all of it.
func (h *Hub) over(l *line) {
	l.ended = time.Now()
	h.unread[l] = struct{}{}
	h.release(l)
}

// release gives up the log of a line that has ended, once nobody reads it.
func (h *Hub) release(l *line) {
	if _, kept := h.unread[l]; kept && len(l.members) == 0 {
		h.drop(l)
	}
}

// giveUp makes room for more bytes when memory is short, first by the logs of lines
// that have ended: a member that is blocked would hold one, and its share, until
// its write fails. They go when patience ends; until then they keep to their share.
func (h *Hub) giveUp(more int64) {
	for l := range h.unread {
		if h.memory.short(more) && time.Since(l.ended) >= h.most {
			h.drop(l)
		}
	}
	for l := range h.unread {
		l.trim()
	}
}

// drop gives up the log of a line that has ended. Who has not read it is too slow.
func (h *Hub) drop(l *line) {
	for l.next > l.first {
		l.forget()
	}
	delete(h.unread, l)
	h.memory.lines.Add(-1)
}
