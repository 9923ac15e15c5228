// Command webhook-sink is the local webhook receiver of `make run` and of the
// process tests; see package sink for its paths.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/events-aggregator/events-aggregator/test/support/sink"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "webhook-sink:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:8090", "listen here; port 0 takes a free one")
	secret := flag.String("secret", "", "verify Standard Webhooks signatures with this secret (whsec_…)")
	status := flag.Int("status", 0, "fault: answer with this status")
	latency := flag.Duration("latency", 0, "fault: wait before answering")
	hang := flag.Bool("hang", false, "fault: never answer")
	reset := flag.Bool("reset", false, "fault: reset the connection")
	share := flag.Float64("share", 0, "part of the calls that meet the faults (0: all)")
	first := flag.Int("first", 0, "only the first N calls of each webhook-id meet the faults (0: all)")
	flag.Parse()

	s, err := sink.New(*secret)
	if err != nil {
		return err
	}
	s.SetFaults(sink.Faults{
		Status: *status, LatencyMS: int(latency.Milliseconds()), Hang: *hang, Reset: *reset, Share: *share, First: *first,
	})
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := s.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.SetFaults(sink.Faults{}) // what hangs would hold the stop
	bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
