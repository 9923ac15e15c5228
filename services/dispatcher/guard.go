package dispatcher

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// guard decides which addresses an outgoing call may connect to. It is asked
// at connect time, after DNS, for the very address that the socket is about to
// use: so neither the spelling of a host (decimal, hexadecimal, IPv6 forms of
// an IPv4 address) nor a name that resolves to something else the second time
// leads around it.
type guard struct {
	allowed []netip.Prefix // in spite of what they are
}

// control is net.Dialer.Control.
func (g guard) control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return &refusedAddress{Address: address, Kind: "not TCP"}
	}
	endpoint, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusedAddress{Address: address, Kind: "not an address"}
	}
	return g.check(endpoint.Addr())
}

// check refuses what is not a public unicast address, unless it is allowed.
func (g guard) check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	for _, p := range g.allowed {
		if p.Contains(addr) {
			return nil
		}
	}
	for _, r := range special {
		if !r.prefix.Contains(addr) {
			continue
		}
		if r.embedded < 0 {
			return &refusedAddress{Address: addr.String(), Kind: r.kind}
		}
		// The address carries an IPv4 address that a translator or tunnel
		// will deliver to: that one decides.
		bytes := addr.As16()
		inner := netip.AddrFrom4([4]byte(bytes[r.embedded : r.embedded+4]))
		if err := g.check(inner); err != nil {
			return &refusedAddress{Address: addr.String(), Kind: r.kind + " for " + inner.String()}
		}
		return nil
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return &refusedAddress{Address: addr.String(), Kind: "not global unicast"}
	}
	return nil
}

// globalUnicast is all that IANA has given out for use between sites.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// special lists the addresses that are no public host (IANA's special-purpose
// registries, RFC 6890), the first match deciding. embedded is where an IPv4
// address begins that decides instead, −1 for none.
var special = []struct {
	prefix   netip.Prefix
	kind     string
	embedded int
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified", -1},
	{netip.MustParsePrefix("10.0.0.0/8"), "private", -1},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared (CGNAT)", -1},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", -1},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local (cloud metadata)", -1},
	{netip.MustParsePrefix("172.16.0.0/12"), "private", -1},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignment", -1},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation", -1},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay", -1},
	{netip.MustParsePrefix("192.168.0.0/16"), "private", -1},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking", -1},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation", -1},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation", -1},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", -1},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved", -1}, // broadcast, too
	// Alibaba's metadata service is in the shared range above, Azure's wire
	// server and Oracle's are public or link-local; Azure's is named:
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata", -1},

	{netip.MustParsePrefix("::/128"), "unspecified", -1},
	{netip.MustParsePrefix("::1/128"), "loopback", -1},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible", -1},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated", -1},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64", 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64", -1},
	{netip.MustParsePrefix("2001::/32"), "Teredo", -1},
	{netip.MustParsePrefix("2001::/23"), "protocol assignment", -1},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation", -1},
	{netip.MustParsePrefix("2002::/16"), "6to4", 2},
	{netip.MustParsePrefix("3fff::/20"), "documentation", -1},
	{netip.MustParsePrefix("fc00::/7"), "unique local", -1}, // AWS's metadata at fd00:ec2::254, too
	{netip.MustParsePrefix("fe80::/10"), "link-local", -1},
	{netip.MustParsePrefix("fec0::/10"), "site-local", -1},
	{netip.MustParsePrefix("ff00::/8"), "multicast", -1},
}

// refusedAddress is a call that was not made because of where it leads.
type refusedAddress struct{ Address, Kind string }

func (e *refusedAddress) Error() string {
	return fmt.Sprintf("address %s is %s; dispatcher.allow_networks (EA_DISPATCHER_ALLOW_NETWORKS) lists the networks that may be called all the same", e.Address, e.Kind)
}

// isRefused finds the guard's answer in a dialling error. Go tries a name's
// addresses one after the other and returns the first error, so a name with
// one refused and one dead address may show either.
func isRefused(err error) (*refusedAddress, bool) {
	var refused *refusedAddress
	return refused, errors.As(err, &refused)
}
