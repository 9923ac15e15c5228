package infra_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

const queue = "kept"

var _ = Describe("scripts/infra", Ordered, func() {
	var (
		here             *place
		mongoURI, rabbit string
	)

	BeforeAll(func(ctx SpecContext) {
		here = newPlace()
		here.succeed(ctx, "up")
		mongoURI, rabbit = here.addresses(ctx)
		insert(ctx, mongoURI)
		publish(rabbit)
	}, NodeTimeout(10*time.Minute)) // the first time it may have to install

	It("starts nothing twice", func(ctx SpecContext) {
		m, r := here.pid("mongodb/pid"), here.pid("rabbitmq/pid")
		Expect(here.succeed(ctx, "up")).To(ContainSubstring("already running"))
		Expect(here.pid("mongodb/pid")).To(Equal(m))
		Expect(here.pid("rabbitmq/pid")).To(Equal(r))
	}, NodeTimeout(time.Minute))

	It("takes the RabbitMQ that runs on localhost, unless a pair of its own is wanted", func(ctx SpecContext) {
		broker, err := url.Parse(rabbit)
		Expect(err).NotTo(HaveOccurred())
		forward(ctx, "127.0.0.1:5672", broker.Host)
		other := newPlace()
		other.env = append(other.env, "EA_INFRA_PRIVATE=", "EA_MONGO_URI="+mongoURI, "EA_MONGO=")
		Expect(other.succeed(ctx, "up")).To(ContainSubstring("RabbitMQ: the one already running on localhost:5672 (neither started nor stopped here)"))
		Expect(other.succeed(ctx, "down")).To(ContainSubstring("Nothing that was started here is running"))
		Expect(running(here.pid("rabbitmq/pid"))).To(BeTrue())

		Expect(here.succeed(ctx, "up")).NotTo(ContainSubstring("localhost:5672"))
	}, NodeTimeout(time.Minute))

	It("restarts a server with its data on its port", func(ctx SpecContext) {
		m, r := here.pid("mongodb/pid"), here.pid("rabbitmq/pid")
		here.succeed(ctx, "restart", "mongo")
		here.succeed(ctx, "restart", "rabbitmq")
		Expect(here.pid("mongodb/pid")).NotTo(Equal(m))
		Expect(here.pid("rabbitmq/pid")).NotTo(Equal(r))
		Expect(count(ctx, mongoURI)).To(BeEquivalentTo(1))
		Expect(messages(rabbit)).To(Equal(1))
	}, NodeTimeout(3*time.Minute))

	It("works after an unclean stop", func(ctx SpecContext) {
		Expect(syscall.Kill(here.pid("mongodb/pid"), syscall.SIGKILL)).To(Succeed())
		Expect(syscall.Kill(here.pid("rabbitmq/pid"), syscall.SIGKILL)).To(Succeed())
		here.succeed(ctx, "up")
		Expect(count(ctx, mongoURI)).To(BeEquivalentTo(1))
		Expect(messages(rabbit)).To(Equal(1))
	}, NodeTimeout(3*time.Minute))

	It("stops what it started, and takes another port when the old one is taken", func(ctx SpecContext) {
		m, r := here.pid("mongodb/pid"), here.pid("rabbitmq/pid")
		here.succeed(ctx, "down")
		for _, p := range []int{m, r} {
			Expect(running(p)).To(BeFalse(), "pid %d", p)
		}
		_, err := here.infra(ctx, "env")
		Expect(err).To(HaveOccurred())

		address, err := url.Parse(mongoURI)
		Expect(err).NotTo(HaveOccurred())
		squatter, err := net.Listen("tcp", address.Host)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(squatter.Close)

		here.succeed(ctx, "up")
		elsewhere, same := here.addresses(ctx)
		Expect(elsewhere).NotTo(Equal(mongoURI))
		Expect(same).To(Equal(rabbit))
		Expect(count(ctx, elsewhere)).To(BeEquivalentTo(1))
		Expect(messages(rabbit)).To(Equal(1))
	}, NodeTimeout(3*time.Minute))

	It("never touches a process that was given the pid of one of its own", func(ctx SpecContext) {
		stranger := sleeper(ctx)
		Expect(stranger.Start()).To(Succeed())
		DeferCleanup(func() {
			_ = stranger.Process.Kill()
			_ = stranger.Wait()
		})
		record := filepath.Join(here.dir, "mongodb", "pid")
		before := here.read("mongodb/pid")
		DeferCleanup(os.WriteFile, record, []byte(before+"\n"), os.FileMode(0o644))
		_, rest, _ := strings.Cut(before, " ")
		Expect(os.WriteFile(record, recorded(stranger.Process.Pid, rest), 0o644)).To(Succeed())

		here.succeed(ctx, "kill", "mongo")
		here.succeed(ctx, "stop", "mongo")
		Expect(running(stranger.Process.Pid)).To(BeTrue())
	}, NodeTimeout(time.Minute))
})

// running: a zombie does not run.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	text := string(stat)
	return !strings.HasPrefix(text[strings.LastIndex(text, ")")+1:], " Z")
}

// forward stands for a server on a fixed address; one that is there already
// stands for itself.
func forward(ctx SpecContext, from, to string) {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		return
	}
	DeferCleanup(listener.Close)
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := new(net.Dialer).DialContext(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in) }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
}

func collection(ctx context.Context, uri string, use func(*mongo.Collection)) {
	GinkgoHelper()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(uri))
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(client.Disconnect(ctx)).To(Succeed()) }()
	use(client.Database("infra").Collection("kept"))
}

func insert(ctx context.Context, uri string) {
	GinkgoHelper()
	collection(ctx, uri, func(c *mongo.Collection) {
		_, err := c.InsertOne(ctx, bson.M{"_id": 1})
		Expect(err).NotTo(HaveOccurred())
	})
}

func count(ctx context.Context, uri string) (n int64) {
	GinkgoHelper()
	collection(ctx, uri, func(c *mongo.Collection) {
		var err error
		n, err = c.CountDocuments(ctx, bson.M{})
		Expect(err).NotTo(HaveOccurred())
	})
	return n
}

func channel(rawURL string, use func(*amqp.Channel)) {
	GinkgoHelper()
	connection, err := amqp.Dial(rawURL)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(connection.Close()).To(Succeed()) }()
	ch, err := connection.Channel()
	Expect(err).NotTo(HaveOccurred())
	use(ch)
}

func publish(rawURL string) {
	GinkgoHelper()
	channel(rawURL, func(ch *amqp.Channel) {
		_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		Expect(err).NotTo(HaveOccurred())
		Expect(ch.Confirm(false)).To(Succeed())
		confirm, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent})
		Expect(err).NotTo(HaveOccurred())
		Expect(confirm.Wait()).To(BeTrue())
	})
}

// messages: a quorum queue counts again shortly after its node has started.
func messages(rawURL string) (n int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		channel(rawURL, func(ch *amqp.Channel) {
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			g.Expect(err).NotTo(HaveOccurred())
			n = q.Messages
			g.Expect(n).To(BeNumerically(">", 0))
		})
	}, 10*time.Second, 200*time.Millisecond).Should(Succeed())
	return n
}
