// Package api serves the product over HTTP: REST, live streams, the dashboard
// and the health paths.
package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/action/seal"
	"github.com/events-aggregator/events-aggregator/pkg/backtest"
	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Publisher publishes with confirms.
type Publisher interface {
	Publish(ctx context.Context, msgs ...broker.Message) error
}

// Server answers HTTP. Its parts are what the handlers need, by role.
type Server struct {
	cfg       config.API
	log       *zap.Logger
	now       func() time.Time
	counters  time.Duration // how long one-minute counters are kept
	auth      *auth
	sessions  *sessions
	events    Events
	ledger    Ledger
	rules     sealedRules
	indexes   EventIndexes
	holdings  Holdings
	reads     Reads
	analytics Analytics
	silences  Silences
	templates Templates
	people    UserList
	users     Users
	audit     AuditLog
	again     Redeliveries
	replays   Replays
	targets   Targets
	channels  config.Channels
	publisher Publisher
	dead      func(queue string) (DeadLetters, error)
	keys      *seal.Keys
	topology  topology.Table
	decoder   *event.Decoder
	streams   *streams
	tickets   Tickets
	health    http.Handler
	metrics   *metrics
	importing chan struct{} // holds the import that is under way
	indexing  chan struct{} // holds the one that waits for its indexes
	exporting *places       // of exports
	analysing *places       // of analyses that read events
	testing   chan struct{} // holds the back-tests that are under way
	stored    backtest.Source
	decisions Decisions
}

// apiPath is before every route; the socket is served without it, too.
const apiPath, socketPath = "/api/v1", "/ws/events"

const (
	headerTimeout = 10 * time.Second // a client that dribbles its headers is cut
	headerLimit   = 64 << 10         // and one that sends too many gets a 431
	idleTimeout   = 2 * time.Minute
)

// route is one row of the route table.
type route struct {
	method, path string
	admin        bool
	handle       echo.HandlerFunc
}

// routes is the one table of the API; all need a key.
func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, "/events", false, s.listEvents},
		{http.MethodPost, "/events", false, s.postEvents},
		{http.MethodGet, "/events/search", false, s.searchEvents},
		{http.MethodGet, exportPath, false, s.exportEvents},
		{http.MethodGet, "/events/:event_id", false, s.getEvent},
		{http.MethodGet, "/events/:event_id/trace", false, s.traceEvent},
		{http.MethodGet, "/analytics/summary", false, s.summary},
		{http.MethodGet, "/analytics/trends", false, s.trends},
		{http.MethodGet, "/analytics/top-errors", false, s.topErrors},
		{http.MethodGet, "/analytics/user-activity", false, s.userActivity},
		{http.MethodGet, "/metrics", false, s.listMetrics},
		{http.MethodGet, "/rules", false, s.listRules},
		{http.MethodPost, "/rules", true, s.createRule},
		{http.MethodPost, importPath, true, s.importRules},
		{http.MethodGet, "/rules/status", false, s.rulesStatus},
		{http.MethodGet, "/rules/matches", false, s.ruleMatches},
		{http.MethodPost, backtestPath, false, s.backtest},
		{http.MethodPost, "/rules/test", false, s.testRule},
		{http.MethodGet, "/rules/:rule_id", false, s.getRule},
		{http.MethodPut, "/rules/:rule_id", true, s.replaceRule},
		{http.MethodPatch, "/rules/:rule_id", true, s.patchRule},
		{http.MethodDelete, "/rules/:rule_id", true, s.deleteRule},
		{http.MethodGet, "/rules/:rule_id/versions", false, s.ruleVersions},
		{http.MethodGet, "/rules/:rule_id/versions/:version", false, s.ruleVersion},
		{http.MethodGet, "/rules/:rule_id/diff", false, s.diffRule},
		{http.MethodGet, "/rules/:rule_id/explain", false, s.explainRule},
		{http.MethodPost, "/rules/:rule_id/explain", false, s.explainDraft},
		{http.MethodPost, "/rules/:rule_id/rollback", true, s.rollBackRule},
		{http.MethodPost, "/rules/:rule_id/actions/:n/try", true, s.tryAction},
		{http.MethodGet, "/action-types", false, s.listActionTypes},
		{http.MethodGet, "/channels", false, s.listChannels},
		{http.MethodGet, "/templates", false, s.listTemplates},
		{http.MethodGet, "/templates/:name", false, s.getTemplate},
		{http.MethodPut, "/templates/:name", true, s.putTemplate},
		{http.MethodDelete, "/templates/:name", true, s.deleteTemplate},
		{http.MethodPost, "/templates/:name/preview", false, s.previewTemplate},
		{http.MethodGet, "/silences", false, s.listSilences},
		{http.MethodPost, "/silences", true, s.createSilence},
		{http.MethodGet, "/silences/:silence_id", false, s.getSilence},
		{http.MethodDelete, "/silences/:silence_id", true, s.expireSilence},
		{http.MethodPost, "/silences/:silence_id/expire", true, s.expireSilence},
		{http.MethodGet, "/notifications", false, s.listNotifications},
		{http.MethodGet, "/notifications/:notification_id", false, s.getNotification},
		{http.MethodPost, "/notifications/retry", true, s.retryNotifications},
		{http.MethodPost, "/notifications/:notification_id/retry", true, s.retryNotification},
		{http.MethodPost, "/notifications/:notification_id/cancel", true, s.cancelNotification},
		{http.MethodGet, "/targets", false, s.listTargets},
		{http.MethodGet, "/targets/:target_id", false, s.getTarget},
		{http.MethodPost, "/targets/:target_id/enable", true, s.enableTarget},
		{http.MethodPost, "/targets/:target_id/disable", true, s.disableTarget},
		{http.MethodGet, "/dead-letters", false, s.listDeadLetters},
		{http.MethodGet, "/dead-letters/groups", false, s.groupDeadLetters},
		{http.MethodPost, "/dead-letters/replay", true, s.replayDeadLetters},
		{http.MethodGet, "/dead-letters/:dead_id", false, s.getDeadLetter},
		{http.MethodGet, "/replays", false, s.listReplays},
		{http.MethodPost, "/replays", true, s.createReplay},
		{http.MethodGet, "/replays/:replay_id", false, s.getReplay},
		{http.MethodPost, "/replays/:replay_id/pause", true, s.pauseReplay},
		{http.MethodPost, "/replays/:replay_id/resume", true, s.resumeReplay},
		{http.MethodPost, "/replays/:replay_id/cancel", true, s.cancelReplay},
		{http.MethodGet, "/lag", false, s.lag},
		{http.MethodGet, "/status", false, s.status},
		{http.MethodGet, "/users", true, s.listUsers},
		{http.MethodPost, "/users", true, s.createUser},
		{http.MethodGet, "/users/me", false, s.me},
		{http.MethodPatch, "/users/me", false, s.patchMe},
		{http.MethodGet, "/users/:user_id", true, s.getUser},
		{http.MethodPatch, "/users/:user_id", true, s.patchUser},
		{http.MethodDelete, "/users/:user_id", true, s.deleteUser},
		{http.MethodGet, "/api-keys", false, s.listKeys},
		{http.MethodPost, "/api-keys", false, s.createKey},
		{http.MethodPost, "/api-keys/:key_id/rotate", false, s.rotateKey},
		{http.MethodDelete, "/api-keys/:key_id", false, s.revokeKey},
		{http.MethodGet, "/audit", true, s.listAudit},
		{http.MethodGet, "/stream/events", false, s.stream("events")},
		{http.MethodGet, "/stream/metrics", false, s.stream("metrics")},
		{http.MethodGet, "/stream/notifications", false, s.stream("notifications")},
		{http.MethodGet, "/stream/lag", false, s.streamLag},
		{http.MethodPost, "/stream/ticket", false, s.createTicket},
		{http.MethodGet, socketPath, false, s.websocket},
	}
}

// handler is the whole server: API under /api/v1, health paths, dashboard.
func (s *Server) handler() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.IPExtractor = addressOf(s.cfg.TrustedProxies)
	e.Use(
		middleware.RequestIDWithConfig(middleware.RequestIDConfig{Generator: uuid.NewString, RequestIDHandler: limitRequestID}),
		s.observe,
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.panicked}),
		secure,
		s.timed, // before those that answer by themselves
		crossOrigin(s.cfg.CORSOrigins),
		middleware.BodyLimit(bytesText(s.cfg.BodyLimit)),
		drained,
	)
	doc, err := Document()
	if err != nil {
		panic(err) // it is part of the program
	}
	parameters, err := parametersListed(doc)
	if err != nil {
		panic(err)
	}
	group := e.Group(apiPath)
	for _, r := range s.routes() {
		group.Add(r.method, r.path, r.handle, s.bound(r), s.sessions.recognise, s.auth.require(r), parameters.only(r))
	}
	socket := route{http.MethodGet, socketPath, false, s.websocket}
	e.GET(socket.path, socket.handle, s.sessions.recognise, s.auth.require(socket))
	for _, path := range []string{"/livez", "/readyz", "/health", "/health/mongodb", "/health/rabbitmq", "/health/redis"} {
		e.GET(path, echo.WrapHandler(s.health))
	}
	s.signIn(e)
	document(e, doc)
	docs(e)
	dashboard(e)
	return e
}

// isStream says whether a route's answer lasts as long as the client stays.
func isStream(path string) bool {
	switch strings.TrimPrefix(path, apiPath) {
	case "/stream/events", "/stream/metrics", "/stream/notifications", "/stream/lag", socketPath:
		return true
	}
	return false
}

// bound gives every request but streams its time.
func (s *Server) bound(r route) echo.MiddlewareFunc {
	limit := s.cfg.RequestTimeout
	switch r.path {
	case importPath:
		limit = max(limit, importTime)
	case backtestPath:
		limit = max(limit, s.cfg.BacktestTimeout+backtestGrace)
	}
	if strings.HasPrefix(r.path, analyticsPath) { // one that waits for a place, see analysis
		limit = max(limit, 2*s.cfg.AnalyticsTimeout+backtestGrace)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if isStream(r.path) || r.path == exportPath { // each write has its time
			return next
		}
		return func(c echo.Context) error {
			allowed := limit
			if create, _ := strconv.ParseBool(c.QueryParam(createIndexes)); create && r.admin {
				allowed += indexTime
			}
			ctx, cancel := context.WithTimeout(store.ForRequest(c.Request().Context(), requestID(c)), allowed)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(allowed + idleTimeout))
			return next(c)
		}
	}
}

// limitRequestID replaces a client's request id that could not be logged.
func limitRequestID(c echo.Context, id string) {
	if len(id) > 64 {
		c.Response().Header().Set(echo.HeaderXRequestID, uuid.NewString())
	}
}

func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// observe counts requests by route and status.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		err := next(c)
		if err != nil {
			c.Error(err) // writes the answer, so that its status is known here
		}
		s.metrics.request(c.Path(), c.Request().Method, c.Response().Status, time.Since(started))
		return nil
	}
}

func (s *Server) panicked(c echo.Context, err error, stack []byte) error {
	s.log.Error("request handler panicked", zap.String("path", c.Path()), zap.Error(err), zap.ByteString("stack", stack))
	return err
}

// fail writes every error as a problem. What is our own fault is logged.
func (s *Server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		s.log.Error("request failed", zap.String("method", c.Request().Method), zap.String("path", c.Path()),
			zap.String("request_id", requestID(c)), zap.Error(err))
	}
	if err := p.write(c); err != nil {
		s.log.Debug("problem not written", zap.Error(err))
	}
}

// run serves on the listener until ctx ends. Streams end first: an open one
// would keep the shutdown waiting.
func (s *Server) run(ctx context.Context, l net.Listener, drain time.Duration) error {
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: headerLimit, IdleTimeout: idleTimeout,
		ErrorLog: zap.NewStdLog(s.log), BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.streams.stop()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
