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
	after := behind[store.MetricPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	found, err := s.analytics.ListMetrics(c.Request().Context(), f, after, limit)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(append([]store.Metric{}, found...), found, limit, func(last store.Metric) any {
		return store.MetricPosition{Timestamp: last.Timestamp, ID: last.ID}
	}))
}
