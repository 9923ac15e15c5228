package api

import (
	"context"
	"time"
)

// Row is one row of the route table.
type Row struct {
	Method, Path string
	Admin        bool
}

// Routes is the route table.
func Routes() []Row {
	var rows []Row
	for _, r := range (&Server{}).routes() {
		rows = append(rows, Row{r.method, "/api/v1" + r.path, r.admin})
	}
	return rows
}

// Recent is get of a recent.
func Recent(fresh time.Duration, read func() ([]byte, error)) func(context.Context) ([]byte, error) {
	return (&recent{fresh: fresh, read: read}).get
}

// Failures is failures for specs.
type Failures struct{ *failures }

// NewFailures is newFailures.
func NewFailures(perMinute int) Failures { return Failures{newFailures(perMinute)} }

// Wait is wait.
func (f Failures) Wait(address string, now time.Time) time.Duration { return f.wait(address, now) }

// Note is note.
func (f Failures) Note(address string, now time.Time) { f.note(address, now) }

// Len is how many addresses are counted.
func (f Failures) Len() int { return len(f.by) }
