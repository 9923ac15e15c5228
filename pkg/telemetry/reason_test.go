package telemetry_test

import (
	"errors"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

var _ = DescribeTable("the reason why a server cannot be used",
	func(text, reason string) { Expect(telemetry.Reason(errors.New(text))).To(Equal(reason)) },
	Entry("MongoDB refuses the password", `unable to authenticate using mechanism "SCRAM-SHA-1": (AuthenticationFailed) Authentication failed.`, "user name or password refused"),
	Entry("RabbitMQ refuses the password", "connect to RabbitMQ at mq:5672: username or password not allowed (403)", "user name or password refused"),
	Entry("RabbitMQ refuses the vhost", "no access to this vhost (403)", "no such virtual host, or no permission for it"),
	Entry("nothing listens", "dial tcp 127.0.0.1:27946: connect: connection refused", "connection refused: nothing listens there"),
	Entry("no such name", "dial tcp: lookup mq.invalid on 10.0.0.1:53: no such host", "no such host"),
	Entry("hung up, and out of time meanwhile",
		"server selection error: context deadline exceeded, current topology: { Last error: read tcp 127.0.0.1:39486->127.0.0.1:33581: read: connection reset by peer }",
		"connection lost: the server or something before it hung up"),
	Entry("hung up in the handshake", "read tcp 127.0.0.1:53330->127.0.0.1:37717: use of closed network connection", "connection lost: the server or something before it hung up"),
	Entry("no server found", "server selection error: server selection timeout, current topology: { Type: Unknown }", "no answer in time"),
	Entry("silence", "read tcp 127.0.0.1:49790->127.0.0.1:36369: i/o timeout", "no answer in time"),
	Entry("anything else, without the port that differs each time", "read tcp 127.0.0.1:49790->127.0.0.1:36369: strange", "read tcp 127.0.0.1:36369: strange"),
)
