package app

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// The states of /health.
const (
	statusOK       = "ok"
	statusDegraded = "degraded" // works, but a stage is behind its budget
	statusDown     = "down"     // does not work now
)

// component is one part of /health.
type component struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// health is the answer of /health.
type health struct {
	Status        string               `json:"status"`
	Service       string               `json:"service"`
	Instance      string               `json:"instance"`
	Version       string               `json:"version"`
	UptimeSeconds int64                `json:"uptime_seconds"`
	Components    map[string]component `json:"components"`
	Workers       []string             `json:"workers"`
	LagBudget     float64              `json:"lag_budget_seconds"`
	Lag           []store.StageLag     `json:"lag,omitempty"`
	LagUnknown    string               `json:"lag_unknown,omitempty"`
}

// HealthHandler serves /livez, /readyz, /health, /health/mongodb,
// /health/rabbitmq and /health/redis. Every process serves it on its admin
// address, and the api on its public one too.
func HealthHandler(p *Process) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", p.serveReady)
	mux.HandleFunc("GET /health", p.serveHealth)
	mux.HandleFunc("GET /health/mongodb", p.serveComponent("mongodb"))
	mux.HandleFunc("GET /health/rabbitmq", p.serveComponent("rabbitmq"))
	mux.HandleFunc("GET /health/redis", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, map[string]string{
			"error": "Events Aggregator uses no Redis; /health lists its components", "see": "/health",
		})
	})
	return mux
}

func (p *Process) serveReady(w http.ResponseWriter, r *http.Request) {
	failed := p.checks.failing(r.Context())
	if len(failed) > 0 {
		answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reasons": failed})
		return
	}
	answer(w, http.StatusOK, map[string]any{"ready": true})
}

func (p *Process) serveComponent(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if reason, failed := p.checks.failing(r.Context())[name]; failed {
			answer(w, http.StatusServiceUnavailable, component{Status: statusDown, Reason: reason})
			return
		}
		answer(w, http.StatusOK, component{Status: statusOK})
	}
}

func (p *Process) serveHealth(w http.ResponseWriter, r *http.Request) {
	failed := p.checks.failing(r.Context())
	h := health{
		Status: statusOK, Service: p.Name, Instance: p.Instance, Version: telemetry.Version(),
		UptimeSeconds: int64(time.Since(p.startedAt).Seconds()),
		Components:    map[string]component{}, Workers: p.workers.names(),
		LagBudget: p.Config.Health.LagBudget.Seconds(),
	}
	for _, name := range p.checks.names() {
		h.Components[name] = component{Status: statusOK}
		if reason, bad := failed[name]; bad {
			h.Components[name] = component{Status: statusDown, Reason: reason}
			h.Status = statusDown
		}
	}
	p.degraded.Range(func(part, why any) bool {
		c := component{Status: statusOK}
		if reason := why.(func() string)(); reason != "" { //nolint:forcetypeassert // Degraded stores nothing else
			c = component{Status: statusDegraded, Reason: reason}
			if h.Status == statusOK {
				h.Status = statusDegraded
			}
		}
		h.Components[part.(string)] = c //nolint:forcetypeassert // the same
		return true
	})
	if _, away := failed["mongodb"]; away {
		h.LagUnknown = "MongoDB is away"
	} else if stages, err := p.lag.now(r.Context()); err != nil {
		h.LagUnknown = telemetry.Reason(err)
	} else {
		h.Lag = stages
		for _, s := range stages {
			if s.Seconds > h.LagBudget && h.Status == statusOK {
				h.Status = statusDegraded
			}
		}
	}
	code := http.StatusOK
	if h.Status == statusDown {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, h)
}

func answer(w http.ResponseWriter, code int, body any) {
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) // an error means that the client has gone
}
