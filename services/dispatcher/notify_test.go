package dispatcher_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/letter"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/user"
	"github.com/events-aggregator/events-aggregator/services/dispatcher"
	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// mailServer is a real SMTP server that keeps what it takes. refuse decides by
// the recipient's address.
type mailServer struct {
	url    string
	mu     sync.Mutex
	got    []received
	refuse func(to string) *smtp.SMTPError
}

type received struct {
	from, to string
	data     string
}

func serveMail() *mailServer {
	GinkgoHelper()
	s := &mailServer{refuse: func(string) *smtp.SMTPError { return nil }}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{server: s}, nil }))
	server.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	go func() { _ = server.Serve(l) }()
	DeferCleanup(func() { _ = server.Close() })
	s.url = "smtp://" + l.Addr().String() + "/?from=alerts@example.com&tls=none"
	return s
}

func (s *mailServer) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

func (s *mailServer) setRefuse(f func(to string) *smtp.SMTPError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// to are the addresses that got a mail, in order.
func (s *mailServer) to() []string {
	var all []string
	for _, m := range s.received() {
		all = append(all, m.to)
	}
	return all
}

type mailSession struct {
	server   *mailServer
	from, to string
}

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error { m.from = from; return nil }
func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	if refused := m.server.refuse(to); refused != nil {
		return refused
	}
	m.to = to
	return nil
}

func (m *mailSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	m.server.got = append(m.server.got, received{m.from, m.to, string(data)})
	return err
}
func (m *mailSession) Reset()        { m.to = "" }
func (m *mailSession) Logout() error { return nil }

// parts are the content types and texts of a multipart mail.
func parts(m *mail.Message) map[string]string {
	GinkgoHelper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	Expect(err).NotTo(HaveOccurred())
	Expect(kind).To(Equal("multipart/alternative"))
	all := map[string]string{}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart() // undoes quoted-printable
		if errors.Is(err, io.EOF) {
			return all
		}
		Expect(err).NotTo(HaveOccurred())
		text, err := io.ReadAll(p)
		Expect(err).NotTo(HaveOccurred())
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		Expect(err).NotTo(HaveOccurred())
		all[kind] = strings.ReplaceAll(string(text), "\r\n", "\n")
	}
}

func channels(byDefault string, urls map[string]string) func(*config.Config) {
	return func(c *config.Config) { c.Channels = config.Channels{URLs: urls, Default: byDefault} }
}

func recipients(all ...any) bson.E { return bson.E{Key: "recipients", Value: bson.A(all)} }

var _ = Describe("A SEND_NOTIFICATION", func() {
	var f *fleet.Fleet
	var server *mailServer
	BeforeEach(func(ctx SpecContext) {
		f = fleet.New(ctx)
		server = serveMail()
		now := time.Now()
		Expect(f.Store.SeedTemplates(ctx, now, letter.Template{
			Name: "default", Subject: "{{.Event.type}} ü", Text: "Rule {{.Rule.Name}}\nn={{.Event.payload.n}}", HTML: "<p>n={{.Event.payload.n}}</p>",
		})).To(Succeed())
	}, NodeTimeout(30*time.Second))

	newUser := func(ctx context.Context, id string, role user.Role, p user.Preferences) {
		GinkgoHelper()
		_, key, err := user.NewKey(time.Now())
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Store.CreateUser(ctx, user.User{ID: id, Email: id + "@example.com", Role: role, Preferences: p, APIKeys: []user.APIKey{key}})).To(Succeed())
	}

	It("is a mail in text and HTML, with an id that each repeat has", func(ctx SpecContext) {
		start(ctx, f, channels("mail", map[string]string{"mail": server.url}))
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("ops@example.com")})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(1))
		Expect(n.Attempts[0].Receipts).To(Equal([]string{"mail:ops@example.com"}))
		Expect(server.to()).To(Equal([]string{"ops@example.com"}))
		got := server.received()[0]
		Expect(got.from).To(Equal("alerts@example.com"))
		m, err := mail.ReadMessage(strings.NewReader(got.data))
		Expect(err).NotTo(HaveOccurred())
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		Expect(err).NotTo(HaveOccurred())
		Expect(subject).To(Equal("PAYMENT_FAILED ü"))
		Expect(m.Header.Get("To")).To(Equal("<ops@example.com>"))
		Expect(m.Header.Get("Message-ID")).To(MatchRegexp(`^<` + n.ID + `\.[0-9a-f]{12}@example\.com>$`))
		Expect(m.Header.Get("Auto-Submitted")).To(Equal("auto-generated"))
		Expect(parts(m)).To(Equal(map[string]string{"text/plain": "Rule failed payments\nn=0", "text/html": "<p>n=0</p>"}))
	}, SpecTimeout(time.Minute))

	It("goes to users by their preferences, and to nobody twice", func(ctx SpecContext) {
		var posted []string
		var mu sync.Mutex
		room := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			posted = append(posted, string(body))
		}))
		DeferCleanup(room.Close)
		newUser(ctx, "ann", user.Admin, user.Preferences{})
		newUser(ctx, "bob", user.Plain, user.Preferences{NotificationChannels: []string{"room", "mail"}, EventTypes: []string{"PAYMENT_FAILED"}})
		newUser(ctx, "cid", user.Plain, user.Preferences{NotificationChannels: []string{"room"}})
		newUser(ctx, "dee", user.Plain, user.Preferences{EventTypes: []string{"USER_LOGIN"}})
		start(ctx, f, channels("mail", map[string]string{"mail": server.url, "room": "generic://" + room.Listener.Addr().String() + "/hook?disabletls=yes"}))
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("ann@example.com", "ann", "gone", "role:admin", "role:user")})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts[0].Receipts).To(ConsistOf("mail:ann@example.com", "mail:bob@example.com", "room"))
		Expect(n.Attempts[0].ResponseExcerpt).To(And(ContainSubstring("no user gone"), ContainSubstring("dee@example.com does not want")))
		Expect(server.to()).To(ConsistOf("ann@example.com", "bob@example.com"))
		mu.Lock()
		defer mu.Unlock()
		Expect(posted).To(HaveExactElements("PAYMENT_FAILED ü\nRule failed payments\nn=0"))
	}, SpecTimeout(time.Minute))

	It("that reaches some is tried again for the others alone", func(ctx SpecContext) {
		server.setRefuse(func(to string) *smtp.SMTPError {
			if strings.HasPrefix(to, "busy") {
				return &smtp.SMTPError{Code: 451, Message: "try later"}
			}
			return nil
		})
		start(ctx, f, channels("mail", map[string]string{"mail": server.url}), schedule(time.Second, time.Second))
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("ops@example.com", "busy@example.com")})
		send(ctx, f, owed...)
		Eventually(ctx, func(g Gomega) {
			n := notificationOf(ctx, g, f, owed[0])
			g.Expect(n.AttemptCount).To(Equal(1))
			g.Expect(n.Attempts[0].Receipts).To(Equal([]string{"mail:ops@example.com"}))
			g.Expect(n.Attempts[0].Error).To(And(ContainSubstring("busy@example.com"), ContainSubstring("try later")))
		}).WithPolling(20 * time.Millisecond).Should(Succeed())
		server.setRefuse(func(string) *smtp.SMTPError { return nil })
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Receipts()).To(Equal([]string{"mail:ops@example.com", "mail:busy@example.com"}))
		Expect(server.to()).To(Equal([]string{"ops@example.com", "busy@example.com"}))
	}, SpecTimeout(time.Minute))

	It("redelivered after a crash tells only those who are not in the record", func(ctx SpecContext) {
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("ops@example.com", "late@example.com")})
		now := time.Now().UTC().Truncate(time.Millisecond)
		next := now.Add(time.Second)
		recordPart(ctx, f, owed[0], now, next, "mail:ops@example.com")
		again := owed[0]
		again.Attempt = 2 // without what it knew
		again.Republished = true
		start(ctx, f, channels("mail", map[string]string{"mail": server.url}))
		send(ctx, f, again)
		n := becomes(ctx, f, owed[0], notification.Delivered)
		Expect(n.Attempts).To(HaveLen(2))
		Expect(server.to()).To(Equal([]string{"late@example.com"}))
	}, SpecTimeout(time.Minute))

	It("that one address refuses for good is dead, and delivered to the others", func(ctx SpecContext) {
		server.setRefuse(func(to string) *smtp.SMTPError {
			if strings.HasPrefix(to, "gone") {
				return &smtp.SMTPError{Code: 550, Message: "no such user"}
			}
			return nil
		})
		start(ctx, f, channels("mail", map[string]string{"mail": server.url}))
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("gone@example.com", "ops@example.com")})
		send(ctx, f, owed...)
		n := becomes(ctx, f, owed[0], notification.Dead)
		Expect(n.Attempts).To(HaveLen(1))
		Expect(n.Attempts[0].ErrorClass).To(Equal("refused"))
		Expect(n.Attempts[0].Error).To(And(ContainSubstring("gone@example.com"), ContainSubstring("no such user")))
		Expect(server.to()).To(Equal([]string{"ops@example.com"}))
	}, SpecTimeout(time.Minute))

	It("reaches everybody else when one channel hangs, and opens no breaker of theirs", func(ctx SpecContext) {
		ended := make(chan struct{})
		hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
		DeferCleanup(func() { close(ended); hangs.Close() })
		newUser(ctx, "bob", user.Plain, user.Preferences{NotificationChannels: []string{"a-room"}})
		start(ctx, f, schedule(), func(c *config.Config) { c.Dispatcher.Timeout = time.Second },
			channels("mail", map[string]string{"mail": server.url, "a-room": "generic://" + hangs.Listener.Addr().String() + "/hook?disabletls=yes"}))
		configs := make([]bson.D, 12) // enough for a breaker
		for i := range configs {
			configs[i] = bson.D{recipients("ops@example.com", "bob")}
		}
		owed := owe(ctx, f, "SEND_NOTIFICATION", configs...)
		others := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("other@example.com")}, bson.D{recipients("another@example.com")})
		send(ctx, f, mixed(owed, others)...)
		end := func(a notification.Attempt) time.Time {
			return a.At.Add(time.Duration(a.DurationMS) * time.Millisecond)
		}
		var firstGivenUp time.Time
		for _, m := range owed {
			a := becomes(ctx, f, m, notification.Dead).Attempts[0]
			if firstGivenUp.IsZero() || end(a).Before(firstGivenUp) {
				firstGivenUp = end(a)
			}
			Expect(a).To(And(HaveField("Receipts", ConsistOf("mail:ops@example.com")), HaveField("ErrorClass", "sending"), HaveField("Error", HavePrefix("a-room: no answer in time"))))
			Expect(a.DurationMS).To(And(BeNumerically(">=", 1000), BeNumerically("<", 5000)), "its time-out, whatever the service does")
		}
		for _, m := range others {
			Expect(end(becomes(ctx, f, m, notification.Delivered).Attempts[0])).To(BeTemporally("<", firstGivenUp), "they waited for none that hangs")
		}
		Expect(server.to()).To(HaveLen(12 + len(others)))
		_, err := f.Store.Target(ctx, "channel mail")
		Expect(err).To(MatchError(store.ErrNotFound))
	}, SpecTimeout(time.Minute))

	It("is a line in the log until a channel is configured", func(ctx SpecContext) {
		start(ctx, f)
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("ops@example.com", "other@example.com")})
		send(ctx, f, owed...)
		Expect(becomes(ctx, f, owed[0], notification.Delivered).Receipts()).To(Equal([]string{"log"}))
	}, SpecTimeout(time.Minute))

	It("without its template or channel is dead, with the reason", func(ctx SpecContext) {
		start(ctx, f)
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("a@example.com"), {Key: "template", Value: "none"}}, bson.D{{Key: "channel", Value: "none"}})
		send(ctx, f, owed...)
		Expect(becomes(ctx, f, owed[0], notification.Dead).Attempts[0]).To(HaveField("ErrorClass", "no_template"))
		Expect(becomes(ctx, f, owed[1], notification.Dead).Attempts[0]).To(And(HaveField("ErrorClass", "no_channel"), HaveField("Error", ContainSubstring("there are log"))))
	}, SpecTimeout(time.Minute))

	It("shows nothing of what a service makes of its channel's URL", func() {
		said, err := dispatcher.ShoutError("slack://hook:T0AAAAAAA-B0BBBBBBB-c7f3a9c51d2c7f3a9c51d2cc@webhook",
			`Post "https://hooks.slack.com/services/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": refused c7f3a9c51d2c7f3a9c51d2cc`)
		Expect(err).NotTo(HaveOccurred())
		Expect(said).To(Equal(`Post "https://hooks.slack.com/********": refused ********`))
		said, err = dispatcher.ShoutError("generic://example.com/secret/secret-and-more", "echoed secret-and-more")
		Expect(err).NotTo(HaveOccurred())
		Expect(said).To(Equal("echoed ********"), "also when one secret begins another")
	})

	It("shows no secret of its channel, whatever goes wrong", func(ctx SpecContext) {
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		address := closed.Addr().String()
		Expect(closed.Close()).To(Succeed())
		start(ctx, f, schedule(), channels("mail", map[string]string{
			"mail": "smtp://someone:hunter2hunter2@" + address + "/?from=a@example.com&tls=none",
			"room": "generic://" + address + "/path-secret-1234?disabletls=yes&@authorization=token-secret-5678",
		}))
		owed := owe(ctx, f, "SEND_NOTIFICATION", bson.D{recipients("a@example.com")}, bson.D{{Key: "channel", Value: "room"}})
		send(ctx, f, owed...)
		for _, m := range owed {
			n := becomes(ctx, f, m, notification.Dead)
			Expect(n.Attempts[0].ErrorClass).To(Equal("sending"))
			Expect(n.Attempts[0].Error).To(ContainSubstring("refused"))
			for _, secret := range []string{"hunter2hunter2", "path-secret-1234", "token-secret-5678"} {
				Expect(n.Attempts[0].Error).NotTo(ContainSubstring(secret))
			}
		}
	}, SpecTimeout(time.Minute))
})
