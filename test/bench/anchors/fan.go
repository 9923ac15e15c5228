package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/events-aggregator/events-aggregator/test/bench/anchors/listen"
	"github.com/events-aggregator/events-aggregator/test/bench/anchors/load"
)

const (
	fanWaiting = 256 // events for each client; a full one holds the sender
	fanWarm    = time.Second
	fanFor     = 4 * time.Second
)

// fan is a server that sends every event to each of n clients, with a write and
// a flush for each; the clients are another process.
type fan struct {
	mu      sync.Mutex
	clients map[chan []byte]struct{}
}

func (j job) fan(ctx context.Context, address string) error {
	l, err := load.New()
	if err != nil {
		return err
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	f := &fan{clients: map[chan []byte]struct{}{}}
	server := &http.Server{Handler: f, ReadHeaderTimeout: fanWarm}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	clients, err := listen.Start(ctx, program, j.n, "http://"+socket.Addr().String()+"/stream", "")
	if err != nil {
		return err
	}
	defer clients.Close()
	ctx, stop := context.WithCancel(ctx)
	var sending sync.WaitGroup
	sending.Go(func() { f.send(ctx, l, j.run) })
	err = f.measure(clients)
	stop()
	sending.Wait()
	return errors.Join(err, server.Close(), ignoreClosed(<-ended))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// measure prints how many events the clients got a second.
func (f *fan) measure(clients *listen.Listeners) error {
	<-time.After(fanWarm)
	before, err := clients.Count()
	if err != nil {
		return err
	}
	cpu, began := processorTime(), time.Now()
	<-time.After(fanFor)
	after, err := clients.Count()
	if err != nil {
		return err
	}
	n := float64(after - before)
	return say(result{PerSecond: n / time.Since(began).Seconds(), CPUMicros: float64((processorTime() - cpu).Microseconds()) / n})
}

// send hands each event to all clients.
func (f *fan) send(ctx context.Context, l *load.Load, run uint32) {
	f.mu.Lock()
	all := make([]chan []byte, 0, len(f.clients))
	for c := range f.clients {
		all = append(all, c)
	}
	f.mu.Unlock()
	for i := 0; ; i++ {
		_, body := l.Event(run, i, time.Now())
		frame := fmt.Appendf(nil, "id: %d\nevent: event\ndata: %s\n\n", i, body)
		for _, c := range all {
			select {
			case c <- frame:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (f *fan) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	controller := http.NewResponseController(w)
	waiting := make(chan []byte, fanWaiting)
	f.mu.Lock()
	f.clients[waiting] = struct{}{}
	f.mu.Unlock()
	frame := []byte("id: 0\n\n") // a position, as the product's first frame
	for {
		if _, err := w.Write(frame); err != nil {
			return
		}
		if controller.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case frame = <-waiting:
		}
	}
}
