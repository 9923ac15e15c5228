// Package textserver runs a server with text indexes for the specs that need one:
// the database of the others may have none.
package textserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Server is a server that runs.
type Server struct {
	URI string

	cmd   *exec.Cmd
	said  bytes.Buffer
	ended chan struct{}
}

// Start runs a server until Stop; EA_TEXT_MONGO_URI names one that runs already,
// such as a MongoDB. The first time on a machine it is installed, which takes half
// a minute.
func Start(ctx context.Context) (*Server, error) {
	if uri := os.Getenv("EA_TEXT_MONGO_URI"); uri != "" {
		return &Server{URI: uri}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	_, file, _, _ := runtime.Caller(0) //nolint:dogsled // the repository is found from this file
	script := filepath.Join(filepath.Dir(file), "../../../scripts/text-server")
	s := &Server{URI: "mongodb://" + address + "/?directConnection=true", ended: make(chan struct{})}
	s.cmd = exec.Command(script, address[strings.LastIndexByte(address, ':')+1:])
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", script, err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait()
	}()
	return s, s.await(ctx, address)
}

// await waits until somebody listens.
func (s *Server) await(ctx context.Context, address string) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-s.ended:
			return fmt.Errorf("the text server has ended by itself: %s", s.said.Bytes())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("the text server does not listen: %w", err))
		}
	}
}

// Stop ends the server.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // its data are in memory
		<-s.ended
	}
}
