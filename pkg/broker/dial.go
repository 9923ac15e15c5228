package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// dialTimeout covers TCP, TLS and AMQP's handshake. A broker that is starting
	// may accept and not answer, so it is short: the next attempt is near.
	dialTimeout = 5 * time.Second
	// heartbeat: half of RabbitMQ's own default; a peer is given up after 15 s of
	// silence.
	heartbeat = 10 * time.Second
	// closeTimeout bounds the goodbye.
	closeTimeout = 2 * time.Second
)

// dial opens one AMQP connection. Its errors do not tell the password.
func dial(ctx context.Context, rawURL, name, marker string) (*amqp.Connection, *wire, error) {
	uri, err := amqp.ParseURI(rawURL)
	if err != nil {
		return nil, nil, errBadURL
	}
	addr := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	properties := amqp.NewConnectionProperties()
	properties["product"] = "Events Aggregator"
	properties.SetClientConnectionName(name)

	var w *wire
	config := amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Locale:     "en_US",
		// The wire must see plain frames, so TLS is made here and the client is
		// given an amqp URL.
		Dial: func(network, _ string) (net.Conn, error) {
			conn, err := dialSocket(ctx, network, addr, uri)
			if err != nil {
				return nil, err
			}
			w = newWire(conn, marker)
			return w, nil
		},
	}
	if uri.Scheme == "amqps" {
		rawURL = "amqp" + strings.TrimPrefix(rawURL, "amqps")
	}
	began := time.Now()
	conn, err := amqp.DialConfig(rawURL, config)
	if err != nil {
		if w != nil {
			_ = w.Close()
			err = handshakeError(err, w, time.Since(began))
		}
		return nil, nil, fmt.Errorf("connect to RabbitMQ at %s: %w", addr, redact(plain(err), uri.Password))
	}
	w.guard.maxFrame.Store(int64(conn.Config.FrameSize))
	return conn, w, nil
}

// handshakeError corrects the client, which takes every connection that ends in
// the handshake for a refused login. A broker that refuses a login without a
// word waits for 3 s before it hangs up.
func handshakeError(err error, w *wire, took time.Duration) error {
	var e *amqp.Error
	if !errors.As(err, &e) || e.Server || e.Code != amqp.AccessRefused {
		return err
	}
	network := w.reason()
	var timeout net.Error
	silently := took > 2*time.Second && (!errors.As(network, &timeout) || !timeout.Timeout())
	if network == nil || errors.Is(network, net.ErrClosed) || silently {
		return err
	}
	return fmt.Errorf("connection lost in the handshake: %w", network)
}

var errBadURL = errors.New("the AMQP URL cannot be parsed; it is amqp[s]://user:password@host:port/vhost, with reserved characters percent-encoded")

func dialSocket(ctx context.Context, network, addr string, uri amqp.URI) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	// The client clears this deadline after its handshake.
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if uri.Scheme != "amqps" {
		return conn, nil
	}
	config, err := tlsConfig(uri)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

// tlsConfig heeds the URL's cacertfile, certfile, keyfile and
// server_name_indication.
func tlsConfig(uri amqp.URI) (*tls.Config, error) {
	config := &tls.Config{ServerName: uri.ServerName, MinVersion: tls.VersionTLS12}
	if config.ServerName == "" {
		config.ServerName = uri.Host
	}
	if uri.CACertFile != "" {
		pem, err := os.ReadFile(uri.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("read cacertfile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cacertfile %s holds no certificate", uri.CACertFile)
		}
	}
	if uri.CertFile != "" && uri.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(uri.CertFile, uri.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// redact returns err, or its text without the password when that is in it.
func redact(err error, password string) error {
	if password == "" || password == "guest" {
		return err
	}
	text := err.Error()
	for _, secret := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// plain gives the client's errors a text for people; errors.As still finds the
// client's own.
func plain(err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Server || e.Code == amqp.AccessRefused {
		return &plainError{text: fmt.Sprintf("%s (%d)", e.Reason, e.Code), err: err}
	}
	return &plainError{text: e.Reason, err: err}
}

type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// protocolError says whether the client ended the session because it could not
// understand the broker's frames; a lost network has the same code, so the wire
// must say that it did not fail.
func protocolError(err error, w *wire) bool {
	var e *amqp.Error
	return errors.As(err, &e) && !e.Server && e.Code == amqp.FrameError && !w.failed.Load()
}

// serverError returns the broker's own words when it closed a channel or
// connection with an error.
func serverError(err error) (*amqp.Error, bool) {
	var e *amqp.Error
	if errors.As(err, &e) && e.Server {
		return e, true
	}
	return nil, false
}
