package live

import "sync/atomic"

// Memory bounds what the logs of several hubs hold together: changes, and their
// JSON. When it is used up, a log gives up its oldest changes until it has its
// share, as soon as it is written to or its stream says that nothing is new.
type Memory struct {
	most  int64
	held  atomic.Int64
	lines atomic.Int64
}

// NewMemory bounds it to so many bytes.
func NewMemory(most int64) *Memory { return &Memory{most: most} }

// Held is how many bytes the logs hold now.
func (m *Memory) Held() int64 { return m.held.Load() }

// heavy says whether the log must give something up for more bytes.
func (l *line) heavy(more int64) bool {
	m := l.memory
	return m.held.Load()+more > m.most && l.bytes+more > m.most/max(1, m.lines.Load())
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

// release gives up the log of a line that has ended, once nobody reads it.
func (l *line) release() {
	if !l.ended || l.released || len(l.members) > 0 {
		return
	}
	for l.next > l.first {
		l.forget()
	}
	l.released = true
	l.memory.lines.Add(-1)
}
