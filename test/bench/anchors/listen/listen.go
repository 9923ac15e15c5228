// Package listen is live clients that read server-sent events as cheaply as can
// be and count them, in a process of their own: the same for the product and
// for what it is compared with.
package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Mode is the name of Count among the modes of the anchors' program.
const Mode = "listen"

// KeyVariable names the API key in the environment.
const KeyVariable = "EA_KEY"

// patience bounds what the listeners wait for.
const patience = time.Minute

// Listeners is a running program with its clients.
type Listeners struct {
	command *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
}

// Start runs the anchors' program with n clients of a stream, and returns when
// each has heard something.
func Start(ctx context.Context, program string, n int, address, key string) (*Listeners, error) {
	l := &Listeners{command: exec.CommandContext(ctx, program, "-n", strconv.Itoa(n), Mode, address)}
	l.command.Env = append(os.Environ(), KeyVariable+"="+key)
	l.command.Stderr = os.Stderr
	var err error
	if l.ask, err = l.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.answers = bufio.NewReader(out)
	if err := l.command.Start(); err != nil {
		return nil, err
	}
	if _, err := l.answers.ReadString('\n'); err != nil {
		l.Close()
		return nil, fmt.Errorf("live clients do not all hear something: %w", err)
	}
	return l, nil
}

// Count is how many events all have heard so far.
func (l *Listeners) Count() (int64, error) {
	if _, err := io.WriteString(l.ask, "\n"); err != nil {
		return 0, fmt.Errorf("live clients have ended: %w", err)
	}
	text, err := l.answers.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("live clients have ended: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
}

// Close ends them.
func (l *Listeners) Close() {
	_ = l.command.Process.Kill() // it may have ended
	_ = l.command.Wait()
}

// Count is n clients of a stream. It says "up" when all have heard something,
// and how many events they heard for each line it reads. A client that is let
// go is an error.
func Count(ctx context.Context, n int, address string, in io.Reader, out io.Writer) error {
	at, err := url.Parse(address)
	if err != nil {
		return err
	}
	var events, up atomic.Int64
	all, lost := make(chan struct{}), make(chan error, n)
	for range n {
		go func() {
			lost <- follow(ctx, at, os.Getenv(KeyVariable), func() {
				if up.Add(1) == int64(n) {
					close(all)
				}
			}, &events)
		}()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-all:
	case err := <-lost:
		return err
	case <-timer.C:
		return fmt.Errorf("%d of %d hear something", up.Load(), n)
	}
	if _, err := fmt.Fprintln(out, "up"); err != nil {
		return err
	}
	questions := make(chan struct{})
	go func() {
		defer close(questions)
		for lines := bufio.NewScanner(in); lines.Scan(); {
			questions <- struct{}{}
		}
	}()
	for {
		select {
		case err := <-lost:
			return err
		case _, more := <-questions:
			if !more {
				return nil
			}
			if _, err := fmt.Fprintln(out, events.Load()); err != nil {
				return err
			}
		}
	}
}

// eventLine is in each frame that tells an event, once.
var eventLine = []byte("\nevent: event\n")

// follow counts one stream's events; heard is called with the first frame.
func follow(ctx context.Context, at *url.URL, key string, heard func(), events *atomic.Int64) error {
	conn, err := Open(ctx, at, key)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for line := ""; line != "\r\n"; {
		next, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the answer's head: %w", err)
		}
		if line == "" && !strings.Contains(next, " 200 ") {
			return fmt.Errorf("the answer is %s", strings.TrimSpace(next))
		}
		line = next
	}
	body := httputil.NewChunkedReader(r)
	// What may be the beginning of a line that the next piece ends is kept.
	buffer, kept := make([]byte, 64<<10), 0
	for first := true; ; {
		n, err := body.Read(buffer[kept:])
		if err != nil {
			return errors.Join(errors.New("a live client was let go"), err)
		}
		text := buffer[:kept+n]
		if first && bytes.Contains(text, []byte("id: ")) {
			first = false
			heard()
		}
		events.Add(int64(bytes.Count(text, eventLine)))
		kept = copy(buffer, text[max(0, len(text)-len(eventLine)+1):])
	}
}

// Open asks for a stream, and reads nothing: little waits in the connection.
func Open(ctx context.Context, at *url.URL, key string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10)
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", at.RequestURI(), at.Host, key)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
