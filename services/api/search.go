package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// searchAnswer is a page of a text search.
type searchAnswer struct {
	Mode store.SearchMode `json:"mode"`
	page
}

// hit is one event that a search found.
type hit struct {
	Event      json.RawMessage   `json:"event"`
	Score      float64           `json:"score"`
	Highlights []event.Highlight `json:"highlights"`
}

// searchEvents: GET /events/search?q=, by text, the best first.
func (s *Server) searchEvents(c echo.Context) error {
	p := read(c, append([]string{"q", "limit", "cursor"}, searchParameters...)...)
	q := store.EventSearch{EventFilter: p.stored(), Limit: p.integer("limit", pageDefault, s.cfg.PageLimit), Bytes: pageBytes}
	if text := p.text("q"); !p.values.Has("q") {
		p.flaw("q", "is missing; it is what to look for, such as q=card declined")
	} else if text != "" {
		var err error
		if q.Search, err = event.ParseSearch(text); err != nil {
			p.flaw("q", "%s", err)
		}
	}
	q.After = behind[store.SearchPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	ctx, cancel := s.searchTime(c)
	defer cancel()
	mode := s.events.SearchMode()
	if mode != store.TextIndex {
		if err := s.ranged(ctx, q.EventFilter); err != nil {
			return err
		}
	}
	found, next, err := s.events.SearchEvents(ctx, q)
	if err != nil {
		return err
	}
	items := make([]hit, len(found))
	for i, f := range found {
		items[i].Score, items[i].Highlights = f.Score, q.Search.Highlights(f.Event)
		if items[i].Highlights == nil {
			items[i].Highlights = []event.Highlight{}
		}
		if items[i].Event, err = event.ToJSON(f.Event); err != nil {
			return err
		}
	}
	answer := searchAnswer{Mode: mode, page: page{Items: items}}
	if next != nil {
		answer.NextCursor = cursorOf(next)
	}
	return c.JSON(http.StatusOK, answer)
}
