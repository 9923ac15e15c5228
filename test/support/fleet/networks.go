package fleet

import (
	"net/netip"
	"net/url"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/faultproxy"
)

// loopback is what webhooks of specs may reach.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Through puts a proxy that fails on demand between a server's URL and those
// who use it: the URL is changed to lead through the proxy, which ends with
// the spec.
func Through(address *string) *faultproxy.Proxy {
	ginkgo.GinkgoHelper()
	u, err := url.Parse(*address)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	p, err := faultproxy.Start(u.Host)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ginkgo.DeferCleanup(p.Close)
	u.Host = p.Addr()
	if u.Scheme == "mongodb" { // a replica set would tell the driver its own address
		q := u.Query()
		q.Set("directConnection", "true")
		u.RawQuery = q.Encode()
		if u.Path == "" {
			u.Path = "/"
		}
	}
	*address = u.String()
	return p
}
