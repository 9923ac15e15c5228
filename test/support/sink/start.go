package sink

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Running is a receiver that listens.
type Running struct {
	*Sink
	URL  string // http://127.0.0.1:port
	Host string // 127.0.0.1:port
	stop func()
}

// Start makes a receiver and lets it listen on a free port of the loopback
// interface. secret is New's.
func Start(secret string) (*Running, error) {
	s, err := New(secret)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("webhook receiver: %w", err)
	}
	server := s.Server()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends by stop alone
	}()
	host := listener.Addr().String()
	return &Running{Sink: s, URL: "http://" + host, Host: host, stop: func() {
		s.SetFaults(Faults{}) // what hangs would hold the stop
		bounded, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(bounded) != nil {
			_ = server.Close()
		}
		<-served
	}}, nil
}

// Close ends the receiver and its connections.
func (r *Running) Close() { r.stop() }
