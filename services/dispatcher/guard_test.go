package dispatcher_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/events-aggregator/events-aggregator/services/dispatcher"
)

var _ = Describe("The guard of outgoing calls", func() {
	DescribeTable("refuses", func(address string) {
		err := dispatcher.CheckAddress(netip.MustParseAddr(address))
		Expect(err).To(MatchError(ContainSubstring("dispatcher.allow_networks")))
		class, permanent := dispatcher.FailureClass(err)
		Expect(class).To(Equal("address_refused"))
		Expect(permanent).To(BeTrue())
	},
		func(address string) string { return address },
		Entry(nil, "0.0.0.0"), Entry(nil, "0.1.2.3"),
		Entry(nil, "10.0.0.1"), Entry(nil, "10.255.255.255"),
		Entry(nil, "100.64.0.1"), Entry(nil, "100.127.255.255"), Entry(nil, "100.100.100.200"),
		Entry(nil, "127.0.0.1"), Entry(nil, "127.255.255.254"),
		Entry(nil, "168.63.129.16"),
		Entry(nil, "169.254.0.1"), Entry(nil, "169.254.169.254"), Entry(nil, "169.254.170.2"),
		Entry(nil, "172.16.0.1"), Entry(nil, "172.31.255.255"),
		Entry(nil, "192.0.0.192"), Entry(nil, "192.0.2.1"), Entry(nil, "192.88.99.1"), Entry(nil, "192.168.1.1"),
		Entry(nil, "198.18.0.1"), Entry(nil, "198.19.255.255"), Entry(nil, "198.51.100.7"), Entry(nil, "203.0.113.9"),
		Entry(nil, "224.0.0.1"), Entry(nil, "239.255.255.255"), Entry(nil, "240.0.0.1"), Entry(nil, "255.255.255.255"),
		Entry(nil, "::"), Entry(nil, "::1"), Entry(nil, "::2"),
		Entry(nil, "::127.0.0.1"), Entry(nil, "::10.0.0.1"),
		Entry(nil, "::ffff:127.0.0.1"), Entry(nil, "::ffff:10.0.0.1"), Entry(nil, "::ffff:169.254.169.254"), Entry(nil, "::ffff:7f00:1"),
		Entry(nil, "::ffff:0:127.0.0.1"),
		Entry(nil, "64:ff9b::127.0.0.1"), Entry(nil, "64:ff9b::169.254.169.254"), Entry(nil, "64:ff9b:1::1"),
		Entry(nil, "100::1"),
		Entry(nil, "2001::1"), Entry(nil, "2001:0:5ef5:79fd::1"), Entry(nil, "2001:10::1"), Entry(nil, "2001:db8::1"),
		Entry(nil, "2002:7f00:1::1"), Entry(nil, "2002:a9fe:a9fe::1"), Entry(nil, "2002:c0a8:101::"),
		Entry(nil, "3fff::1"), Entry(nil, "5f00::1"), Entry(nil, "4000::1"),
		Entry(nil, "fc00::1"), Entry(nil, "fd00:ec2::254"), Entry(nil, "fdff:ffff::1"),
		Entry(nil, "fe80::1"), Entry(nil, "fe80::1%eth0"), Entry(nil, "febf::1"), Entry(nil, "fec0::1"),
		Entry(nil, "ff02::1"), Entry(nil, "ff0e::1"),
	)

	DescribeTable("lets through", func(address string) {
		Expect(dispatcher.CheckAddress(netip.MustParseAddr(address))).To(Succeed())
	},
		func(address string) string { return address },
		Entry(nil, "1.1.1.1"), Entry(nil, "8.8.8.8"), Entry(nil, "9.255.255.255"), Entry(nil, "11.0.0.1"), Entry(nil, "100.63.255.255"),
		Entry(nil, "100.128.0.1"), Entry(nil, "126.255.255.255"), Entry(nil, "128.0.0.1"), Entry(nil, "172.15.255.255"),
		Entry(nil, "172.32.0.1"), Entry(nil, "192.167.255.255"), Entry(nil, "192.169.0.1"), Entry(nil, "223.255.255.255"),
		Entry(nil, "::ffff:1.1.1.1"), Entry(nil, "64:ff9b::8.8.8.8"), Entry(nil, "2002:808:808::1"),
		Entry(nil, "2606:4700:4700::1111"), Entry(nil, "2a00:1450:4001:81b::200e"),
	)

	DescribeTable("heeds what is allowed", func(network, inside, outside string) {
		allowed := netip.MustParsePrefix(network)
		Expect(dispatcher.CheckAddress(netip.MustParseAddr(inside), allowed)).To(Succeed())
		Expect(dispatcher.CheckAddress(netip.MustParseAddr(outside), allowed)).NotTo(Succeed())
	},
		Entry("a network", "10.1.0.0/16", "10.1.2.3", "10.2.0.1"),
		Entry("the same host in an IPv6 form", "10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.2.0.1"),
		Entry("a host behind a translator", "10.1.0.0/16", "64:ff9b::10.1.2.3", "64:ff9b::10.2.0.1"),
		Entry("an IPv6 network", "fd12::/16", "fd12::1", "fd13::1"),
		Entry("one host", "127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
	)

	Context("with a receiver on the loopback interface", func() {
		var (
			reached atomic.Int32
			port    string
			names   *nameServer
		)

		BeforeEach(func() {
			reached.Store(0)
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
			DeferCleanup(server.Close)
			_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
			names = serveNames()
		})

		get := func(ctx context.Context, t *http.Transport, url string) error {
			GinkgoHelper()
			DeferCleanup(t.CloseIdleConnections)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
			if err != nil {
				return err
			}
			res, err := t.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			return err
		}

		It("connects where it may", func(ctx SpecContext) {
			t := dispatcher.GuardedTransport(nil, netip.MustParsePrefix("127.0.0.0/8"))
			Expect(get(ctx, t, "http://127.0.0.1:"+port)).To(Succeed())
			Expect(reached.Load()).To(BeEquivalentTo(1))
		}, SpecTimeout(10*time.Second))

		DescribeTable("connects by no spelling of its address", func(ctx SpecContext, host string) {
			// What no resolver takes for an address is a name that does not exist.
			Expect(get(ctx, dispatcher.GuardedTransport(nil), "http://"+host+":"+port+"/")).To(
				MatchError(Or(ContainSubstring("allow_networks"), ContainSubstring("no such host"), ContainSubstring("invalid"),
					ContainSubstring("server misbehaving"), ContainSubstring("lookup"))))
			Expect(reached.Load()).To(BeZero())
		},
			func(host string) string { return host },
			Entry(nil, "127.0.0.1", SpecTimeout(20*time.Second)), Entry(nil, "127.1", SpecTimeout(20*time.Second)),
			Entry(nil, "127.0.1", SpecTimeout(20*time.Second)), Entry(nil, "2130706433", SpecTimeout(20*time.Second)),
			Entry(nil, "0x7f000001", SpecTimeout(20*time.Second)), Entry(nil, "0x7f.0.0.1", SpecTimeout(20*time.Second)),
			Entry(nil, "0177.0.0.1", SpecTimeout(20*time.Second)), Entry(nil, "0", SpecTimeout(20*time.Second)),
			Entry(nil, "0.0.0.0", SpecTimeout(20*time.Second)), Entry(nil, "localhost", SpecTimeout(20*time.Second)),
			Entry(nil, "LOCALHOST", SpecTimeout(20*time.Second)), Entry(nil, "localhost.", SpecTimeout(20*time.Second)),
			Entry(nil, "[::1]", SpecTimeout(20*time.Second)), Entry(nil, "[::]", SpecTimeout(20*time.Second)),
			Entry(nil, "[::ffff:127.0.0.1]", SpecTimeout(20*time.Second)), Entry(nil, "[::ffff:7f00:1]", SpecTimeout(20*time.Second)),
			Entry(nil, "[0:0:0:0:0:ffff:7f00:0001]", SpecTimeout(20*time.Second)),
		)

		DescribeTable("connects by no name that resolves to it", func(ctx SpecContext, addresses ...string) {
			names.answer(addresses...)
			Expect(get(ctx, dispatcher.GuardedTransport(names.resolver()), "http://hooks.example.test:"+port)).To(
				MatchError(ContainSubstring("allow_networks")))
			Expect(names.asked.Load()).To(BeNumerically(">", 0))
			Expect(reached.Load()).To(BeZero())
		},
			Entry("the loopback address", "127.0.0.1", SpecTimeout(20*time.Second)),
			Entry("an IPv6 form of it", "::1", SpecTimeout(20*time.Second)),
			Entry("several", "127.0.0.1", "10.0.0.1", "::1", SpecTimeout(20*time.Second)),
			Entry("the metadata service", "169.254.169.254", SpecTimeout(20*time.Second)),
		)

		It("is asked again when a name resolves to something else than before", func(ctx SpecContext) {
			t := dispatcher.GuardedTransport(names.resolver(), netip.MustParsePrefix("127.0.0.1/32"))
			t.DisableKeepAlives = true
			names.answer("127.0.0.1")
			Expect(get(ctx, t, "http://hooks.example.test:"+port)).To(Succeed())
			names.answer("127.0.0.2")
			Expect(get(ctx, t, "http://hooks.example.test:"+port)).To(MatchError(ContainSubstring("127.0.0.2")))
			Expect(reached.Load()).To(BeEquivalentTo(1))
		}, SpecTimeout(20*time.Second))

		It("uses no proxy of the environment", func(ctx SpecContext) {
			GinkgoT().Setenv("HTTP_PROXY", "http://127.0.0.1:"+port)
			names.answer("10.9.8.7")
			Expect(get(ctx, dispatcher.GuardedTransport(names.resolver()), "http://hooks.example.test/")).To(
				MatchError(ContainSubstring("10.9.8.7")))
			Expect(reached.Load()).To(BeZero())
		}, SpecTimeout(20*time.Second))

		It("verifies certificates", func(ctx SpecContext) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
			DeferCleanup(server.Close)
			err := get(ctx, dispatcher.GuardedTransport(nil, netip.MustParsePrefix("127.0.0.0/8")), server.URL)
			class, permanent := dispatcher.FailureClass(err)
			Expect(class).To(Equal("tls"), "%v", err)
			Expect(permanent).To(BeFalse())
			Expect(reached.Load()).To(BeZero())
		}, SpecTimeout(20*time.Second))
	})
})

// nameServer is a DNS server that gives every name the same addresses.
type nameServer struct {
	conn      net.PacketConn
	addresses atomic.Pointer[[]netip.Addr]
	then      atomic.Pointer[[]netip.Addr] // from the second time on
	asked     atomic.Int32
}

func serveNames() *nameServer {
	GinkgoHelper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	s := &nameServer{conn: conn}
	s.answer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve()
	}()
	DeferCleanup(func() { _ = conn.Close(); <-ended })
	return s
}

func (s *nameServer) answer(addresses ...string) { s.addresses.Store(parsed(addresses)) }

// answerOnce gives the first addresses once, and then others.
func (s *nameServer) answerOnce(addresses, then []string) {
	s.then.Store(parsed(then))
	s.answer(addresses...)
}

func parsed(addresses []string) *[]netip.Addr {
	all := make([]netip.Addr, len(addresses))
	for i, a := range addresses {
		all[i] = netip.MustParseAddr(a)
	}
	return &all
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		s.asked.Add(1)
		q := query.Questions[0]
		reply := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
			Questions: query.Questions,
		}
		for _, a := range *s.addresses.Load() {
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type}
			switch {
			case q.Type == dnsmessage.TypeA && a.Is4():
				reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
			case q.Type == dnsmessage.TypeAAAA && a.Is6():
				reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		if then := s.then.Load(); then != nil && len(reply.Answers) > 0 {
			s.addresses.Store(then)
		}
		packed, err := reply.Pack()
		if err != nil {
			panic(fmt.Sprintf("pack DNS answer: %v", err))
		}
		_, _ = s.conn.WriteTo(packed, from)
	}
}

var _ = Describe("A tier", func() {
	tiers := []time.Duration{time.Second, 10 * time.Second, time.Minute}
	DescribeTable("is the shortest that is long enough", func(delay, tier time.Duration) {
		Expect(dispatcher.RoundUp(tiers, delay)).To(Equal(tier))
	},
		Entry("none asked for", time.Duration(0), time.Second),
		Entry("exactly one", 10*time.Second, 10*time.Second),
		Entry("a little more", 10*time.Second+1, time.Minute),
		Entry("more than there is", time.Hour, time.Minute),
		Entry("one that has passed", -time.Hour, time.Second),
	)
})

var _ = Describe("A target's share", func() {
	DescribeTable("leaves room for the others", func(slots, perTarget, share int) {
		Expect(dispatcher.ShareOf(slots, perTarget)).To(Equal(share))
	},
		Entry("by configuration", 32, 8, 8),
		Entry("never a queue's last quarter", 256, 256, 192),
		Entry("in a narrow queue", 4, 8, 3),
		Entry("in one of two", 2, 8, 1),
		Entry("in one that is serial", 1, 8, 1),
	)
})
