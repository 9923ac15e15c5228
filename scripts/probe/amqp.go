package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// AMQP 0-9-1's connection methods, as class<<16 | method.
// https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
const (
	methodStart   = 10<<16 | 10
	methodStartOK = 10<<16 | 11
	methodTune    = 10<<16 | 30
	methodTuneOK  = 10<<16 | 31
	methodOpen    = 10<<16 | 40
	methodOpenOK  = 10<<16 | 41
	methodClose   = 10<<16 | 50
	methodCloseOK = 10<<16 | 51

	frameMethod = 1
	frameEnd    = 0xCE
	maxFrame    = 1 << 20
)

var errAMQP = errors.New("does not speak AMQP 0-9-1")

// amqpOpen opens a connection as far as the virtual host and closes it as the
// protocol asks, so that the broker's log shows no error for a mere question.
func amqpOpen(addr, user, password, vhost string) error {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	if _, err := expect(conn, addr, methodStart); err != nil {
		return err
	}
	var startOK bytes.Buffer
	startOK.Write([]byte{0, 0, 0, 0}) // no client properties
	shortString(&startOK, "PLAIN")
	longString(&startOK, "\x00"+user+"\x00"+password)
	shortString(&startOK, "en_US")
	if err := send(conn, methodStartOK, startOK.Bytes()); err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	tune, err := expect(conn, addr, methodTune)
	if err != nil {
		return fmt.Errorf("log in as %s: %w", user, err)
	}
	var open bytes.Buffer
	shortString(&open, vhost)
	open.Write([]byte{0, 0}) // two reserved fields
	if err := errors.Join(send(conn, methodTuneOK, tune), send(conn, methodOpen, open.Bytes())); err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	if _, err := expect(conn, addr, methodOpenOK); err != nil {
		return fmt.Errorf("open virtual host %s: %w", vhost, err)
	}
	// Reply code 200, no text, no failing method.
	if err := send(conn, methodClose, []byte{0, 200, 0, 0, 0, 0, 0}); err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	_, err = expect(conn, addr, methodCloseOK)
	return err
}

func send(w io.Writer, method uint32, args []byte) error {
	frame := make([]byte, 0, len(args)+12)
	frame = append(frame, frameMethod, 0, 0)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(args)+4))
	frame = binary.BigEndian.AppendUint32(frame, method)
	frame = append(frame, args...)
	_, err := w.Write(append(frame, frameEnd))
	return err
}

// expect reads frames until the wanted method comes, and returns its arguments.
func expect(r io.Reader, addr string, want uint32) ([]byte, error) {
	for {
		head := make([]byte, 7)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, fmt.Errorf("receive from %s: %w", addr, err)
		}
		size := binary.BigEndian.Uint32(head[3:])
		if head[0] == 'A' || size > maxFrame {
			return nil, fmt.Errorf("%s %w", addr, errAMQP)
		}
		body := make([]byte, size+1)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("receive from %s: %w", addr, err)
		}
		if head[0] != frameMethod || size < 4 {
			continue // a heartbeat
		}
		switch got := binary.BigEndian.Uint32(body); got {
		case want:
			return body[4:size], nil
		case methodClose:
			return nil, fmt.Errorf("%s refused: %s", addr, closeText(body[4:size]))
		default:
			return nil, fmt.Errorf("%s %w: method %d.%d instead of %d.%d", addr, errAMQP, got>>16, got&0xffff, want>>16, want&0xffff)
		}
	}
}

// closeText: a reply code, then a short string.
func closeText(args []byte) string {
	if len(args) < 3 || len(args) < 3+int(args[2]) {
		return "no reason given"
	}
	return string(args[3 : 3+int(args[2])])
}

func shortString(b *bytes.Buffer, s string) {
	b.WriteByte(byte(len(s)))
	b.WriteString(s)
}

func longString(b *bytes.Buffer, s string) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(s)))
	b.Write(n[:])
	b.WriteString(s)
}
