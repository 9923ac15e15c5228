package fleet

import (
	"context"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Foreign is a producer that is none of ours: the plain client, which sends
// whatever it is given.
type Foreign struct{ channel *amqp.Channel }

// Raw is one message of a Foreign producer.
type Raw struct {
	Exchange, Key string
	amqp.Publishing
}

// Foreign connects a producer, which ends with the spec.
func (f *Fleet) Foreign() *Foreign {
	ginkgo.GinkgoHelper()
	conn, err := amqp.Dial(f.AMQPURL)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(func() { _ = conn.Close() }) // may be closed already
	channel, err := conn.Channel()
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	gomega.Expect(channel.Confirm(false)).To(gomega.Succeed())
	return &Foreign{channel: channel}
}

// Publish sends messages and waits for all confirms; each must reach a queue
// or nobody.
func (p *Foreign) Publish(ctx context.Context, messages ...Raw) {
	ginkgo.GinkgoHelper()
	confirms := make([]*amqp.DeferredConfirmation, len(messages))
	for i, m := range messages {
		var err error
		confirms[i], err = p.channel.PublishWithDeferredConfirmWithContext(ctx, m.Exchange, m.Key, false, false, m.Publishing)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	}
	for _, c := range confirms {
		acked, err := c.WaitContext(ctx)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		gomega.Expect(acked).To(gomega.BeTrue())
	}
}

// Table is headers as the plain client takes them.
func Table(headers map[string]any) amqp.Table { return table(headers) }

// Purge empties a queue, as somebody may by the broker's own means.
func (p *Foreign) Purge(queue string) {
	ginkgo.GinkgoHelper()
	_, err := p.channel.QueuePurge(queue, false)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
}

// Delete deletes a queue with all that it holds, as somebody may by mistake.
func (p *Foreign) Delete(queue string) {
	ginkgo.GinkgoHelper()
	_, err := p.channel.QueueDelete(queue, false, false, false)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
}
