package broker

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeTimeout is two heartbeats: a peer that takes no bytes for that long is
	// gone, or its alarm has lasted longer than the socket's buffers.
	writeTimeout     = 20 * time.Second
	lastWriteTimeout = 100 * time.Millisecond
	// maxUnsent bounds what waits for the socket before Write blocks.
	maxUnsent = 256 << 10
)

// wire is the socket under an AMQP session. Writes return at once and are sent
// together by one goroutine: the client flushes every ack and every publish by
// itself, which would be a system call each. And a client whose write hangs
// cannot be shut down (its shutdown waits for the lock that the writer holds),
// so a hanging write must end here, by a time-out or by a failed read.
// Reads go through the header guard.
type wire struct {
	net.Conn
	guard  guard
	failed atomic.Bool // the network failed, not the protocol

	mu     sync.Mutex
	unsent []byte
	err    error
	wake   chan struct{} // has a token when the sender has something to do
	room   sync.Cond     // unsent shrank, or err is set
	ended  chan struct{}
}

func newWire(conn net.Conn, marker string) *wire {
	w := &wire{
		Conn:  conn,
		guard: guard{marker: marker},
		wake:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	w.room.L = &w.mu
	go w.send()
	return w
}

// Read gives the client the broker's bytes, with unreadable headers replaced.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.guard.read(w.Conn, p)
	if err != nil {
		w.fail(err)
	}
	return n, err
}

// Write takes p over; an error of the socket comes with a later call.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.unsent) > 0 && len(w.unsent)+len(p) > maxUnsent && w.err == nil {
		w.room.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	w.unsent = append(w.unsent, p...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Close sends what is left, briefly (it may be the answer to the broker's own
// goodbye), and closes the socket.
func (w *wire) Close() error {
	if last := w.stop(net.ErrClosed); len(last) > 0 {
		_ = w.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
		_, _ = w.Conn.Write(last)
	}
	return w.Conn.Close()
}

// send writes what has gathered since its last write, until the wire ends.
func (w *wire) send() {
	var sending []byte
	for {
		select {
		case <-w.ended:
			return
		case <-w.wake:
		}
		w.mu.Lock()
		sending, w.unsent = w.unsent, sending[:0]
		w.room.Broadcast()
		w.mu.Unlock()
		if len(sending) == 0 {
			continue
		}
		_ = w.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Conn.Write(sending); err != nil {
			w.fail(err)
			return
		}
		if cap(sending) > 4*maxUnsent {
			sending = nil // one large message must not be paid for ever
		}
	}
}

// fail ends the wire for an error of the network.
func (w *wire) fail(err error) {
	if !errors.Is(err, net.ErrClosed) {
		w.failed.Store(true)
	}
	_ = w.stop(err)
	_ = w.Conn.Close()
}

// reason is the error that ended the wire.
func (w *wire) reason() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// stop ends the sender, once, and returns what it has not sent.
func (w *wire) stop(err error) (unsent []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil
	}
	w.err = err
	close(w.ended)
	w.room.Broadcast()
	return w.unsent
}
