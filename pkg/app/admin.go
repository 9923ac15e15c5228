package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// admin is the server of health paths and metrics. It is the first to come up
// and the last to go, so that a process can always be asked how it is.
type admin struct {
	addr     string
	listener net.Listener
	served   chan struct{} // closed when serve has returned; nil before
	server   *http.Server
}

// bindAdmin takes the address; nothing is answered before serve.
func bindAdmin(ctx context.Context, addr string) (*admin, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin.addr: %w", err)
	}
	return &admin{addr: l.Addr().String(), listener: l}, nil
}

// serve begins to answer for p, which must be complete.
func (a *admin) serve(p *Process) {
	mux := http.NewServeMux()
	mux.Handle("/", HealthHandler(p))
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{Registry: p.Metrics}))
	a.served = make(chan struct{})
	a.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
	go func() {
		defer close(a.served)
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			p.Log.Error("admin server ended", zap.Error(err))
		}
	}()
}

func (a *admin) stop(ctx context.Context) error {
	if a.served == nil {
		return a.listener.Close()
	}
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.server.Close())
	}
	<-a.served
	return err
}
