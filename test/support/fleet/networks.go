package fleet

import "net/netip"

// loopback is what webhooks of specs may reach.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
