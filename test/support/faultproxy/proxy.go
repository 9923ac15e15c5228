// Package faultproxy is a TCP proxy that fails on demand: tests put it between
// a process and its broker or database.
package faultproxy

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// Proxy forwards connections to one target.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // stalled, closed
	pairs   map[*pair]struct{}
	refuse  bool
	stalled bool
	delay   time.Duration
	closed  bool
	marker  []byte
	opened  int
}

// pair is one client's connection and the one to the target.
type pair struct{ client, server net.Conn }

func (p *pair) close() {
	// A reset, as from a process that died: the peer learns it at once, and
	// what was not read is lost.
	for _, c := range []net.Conn{p.client, p.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// Start listens on a free port of the loopback interface.
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, pairs: map[*pair]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Opened counts the connections that were forwarded.
func (p *Proxy) Opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// Cut resets all connections; new ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.close()
	}
}

// Refuse resets new connections at once while it is on.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Stall keeps connections open and forwards nothing, either way, while it is
// on: a network that swallows, or a peer that was stopped.
func (p *Proxy) Stall(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = on
	p.changed.Broadcast()
}

// Delay holds what the target sends back for so long, as a slow one would.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Corrupt destroys the byte that follows each occurrence of marker in what the
// target sends (as far as marker and that byte arrive together), nil ends it.
func (p *Proxy) Corrupt(marker []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marker = bytes.Clone(marker)
}

// Close resets all connections and stops listening.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for pair := range p.pairs {
		pair.close()
	}
	p.changed.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.forward(client) })
	}
}

func (p *Proxy) forward(client net.Conn) {
	refused := &pair{client: client, server: client}
	p.mu.Lock()
	no := p.refuse || p.closed
	p.mu.Unlock()
	if no {
		refused.close()
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		refused.close()
		return
	}
	both := &pair{client: client, server: server}
	defer both.close()
	p.mu.Lock()
	if p.closed || p.refuse {
		p.mu.Unlock()
		return
	}
	p.pairs[both] = struct{}{}
	p.opened++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.pairs, both)
		p.mu.Unlock()
	}()

	var directions sync.WaitGroup
	directions.Go(func() { p.copy(server, client, nil) })
	directions.Go(func() {
		p.copy(client, server, func(b []byte) {
			p.corrupt(b)
			p.slow()
		})
	})
	directions.Wait()
}

// copy forwards until either side ends, and then ends both.
func (p *Proxy) copy(to, from net.Conn, change func([]byte)) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.passable() {
				return
			}
			if change != nil {
				change(buf[:n])
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passable waits while the proxy is stalled; false when it was closed.
func (p *Proxy) passable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.changed.Wait()
	}
	return !p.closed
}

func (p *Proxy) slow() {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d > 0 {
		<-time.After(d)
	}
}

func (p *Proxy) corrupt(b []byte) {
	p.mu.Lock()
	marker := p.marker
	p.mu.Unlock()
	if len(marker) == 0 {
		return
	}
	for at := 0; ; {
		i := bytes.Index(b[at:], marker)
		if i < 0 || at+i+len(marker) >= len(b) {
			return
		}
		at += i + len(marker)
		b[at] ^= 0xFF
	}
}
