package event_test

import (
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

type storedCase struct {
	Why     string `yaml:"why"`
	Message struct {
		Body        string         `yaml:"body"`
		ContentType string         `yaml:"content_type"`
		MessageID   string         `yaml:"message_id"`
		RoutingKey  string         `yaml:"routing_key"`
		Timestamp   time.Time      `yaml:"timestamp"`
		Headers     map[string]any `yaml:"headers"`
	} `yaml:"message"`
	Want string `yaml:"want"`
}

func storedCases() (entries []any) {
	data, err := os.ReadFile("testdata/stored.yaml")
	if err != nil {
		panic(err)
	}
	var cases []storedCase
	if err := yaml.Unmarshal(data, &cases); err != nil {
		panic(err)
	}
	for _, c := range cases {
		entries = append(entries, Entry(c.Why, c))
	}
	return entries
}

var _ = Describe("the stored document", func() {
	var arguments []any
	arguments = append(arguments, func(c storedCase) {
		d := newDecoder(event.Options{Region: "eu-west-1", Ingester: "host-1"})
		docs, err := d.Decode(event.Input{
			Body: []byte(c.Message.Body), ContentType: c.Message.ContentType, MessageID: c.Message.MessageID,
			RoutingKey: c.Message.RoutingKey, Timestamp: c.Message.Timestamp, Headers: c.Message.Headers, Now: now,
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(docs).To(HaveLen(1))
		expectStorable(docs[0])
		text, err := event.ToJSON(docs[0].Raw)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(Equal(strings.TrimSpace(c.Want)))
	})
	DescribeTable("has", append(arguments, storedCases()...)...)
})
