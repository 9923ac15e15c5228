package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/bson"
)

const (
	timeout = 3 * time.Second
	// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#op_msg
	opMsg        = 2013
	msgHeader    = 16
	maxMessage   = 48_000_000
	alreadyInSet = 23 // AlreadyInitialized
)

var (
	errNotPrimary = errors.New("answers, but is not a primary yet")
	errWire       = errors.New("does not speak MongoDB's wire protocol")
)

// reply is what of a command's answer matters here.
type reply struct {
	OK      float64 `bson:"ok"`
	Code    int     `bson:"code"`
	ErrMsg  string  `bson:"errmsg"`
	Primary bool    `bson:"isWritablePrimary"`
	Set     string  `bson:"setName"`
}

// mongoHello succeeds on the primary of a replica set: transactions and change
// streams need one.
func mongoHello(addr string) error {
	r, err := command(addr, bson.D{{Key: "hello", Value: 1}})
	if err != nil {
		return err
	}
	if !r.Primary || r.Set == "" {
		return fmt.Errorf("%s %w", addr, errNotPrimary)
	}
	return nil
}

// mongoInitiate makes a fresh server a replica set of one. The member's name
// is the address that clients use.
func mongoInitiate(addr, set string) error {
	r, err := command(addr, bson.D{{Key: "replSetInitiate", Value: bson.D{
		{Key: "_id", Value: set},
		{Key: "members", Value: bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: addr}}}},
	}}})
	if err != nil && r.Code != alreadyInSet {
		return err
	}
	return mongoHello(addr)
}

func mongoLifetime(addr string, seconds int) error {
	_, err := command(addr, bson.D{
		{Key: "setParameter", Value: 1},
		{Key: "transactionLifetimeLimitSeconds", Value: seconds},
	})
	return err
}

// command sends one OP_MSG on a connection of its own.
func command(addr string, doc bson.D) (reply, error) {
	var r reply
	body, err := bson.Marshal(append(doc, bson.E{Key: "$db", Value: "admin"}))
	if err != nil {
		return r, fmt.Errorf("encode: %w", err)
	}
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return r, err
	}
	// Header (length, request id, response to, op code), flag bits, section kind 0.
	msg := make([]byte, msgHeader+5, msgHeader+5+len(body))
	binary.LittleEndian.PutUint32(msg[0:], uint32(cap(msg)))
	binary.LittleEndian.PutUint32(msg[4:], 1)
	binary.LittleEndian.PutUint32(msg[12:], opMsg)
	if _, err := conn.Write(append(msg, body...)); err != nil {
		return r, fmt.Errorf("send to %s: %w", addr, err)
	}
	head := make([]byte, msgHeader+5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return r, fmt.Errorf("receive from %s: %w", addr, err)
	}
	length := binary.LittleEndian.Uint32(head)
	if binary.LittleEndian.Uint32(head[12:]) != opMsg || length < msgHeader+5 || length > maxMessage {
		return r, fmt.Errorf("%s %w", addr, errWire)
	}
	answer := make([]byte, length-msgHeader-5)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return r, fmt.Errorf("receive from %s: %w", addr, err)
	}
	if err := bson.Unmarshal(answer, &r); err != nil {
		return r, fmt.Errorf("%s %w: %w", addr, errWire, err)
	}
	if r.OK != 1 {
		return r, fmt.Errorf("%s: %s (code %d)", addr, r.ErrMsg, r.Code)
	}
	return r, nil
}
