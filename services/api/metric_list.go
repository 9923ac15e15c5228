package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// listMetrics: GET /metrics, the materialised metrics, newest first.
func (s *Server) listMetrics(c echo.Context) error {
	p := read(c, "metric_type", "period", "type", "source", "region", "from", "to", "limit", "cursor")
	f := p.metrics()
	f.From, f.To = p.span()
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	var after *store.MetricPosition
	if position := (store.MetricPosition{}); p.cursor(&position) {
		after = &position
	}
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.analytics.ListMetrics(c.Request().Context(), f, after, limit)
	if err != nil {
		return err
	}
	answer := page{Items: append([]store.Metric{}, found...)}
	if len(found) == limit {
		last := found[len(found)-1]
		answer.NextCursor = cursorOf(store.MetricPosition{Timestamp: last.Timestamp, ID: last.ID})
	}
	return c.JSON(http.StatusOK, answer)
}
