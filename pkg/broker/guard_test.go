package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// frame is one AMQP frame.
func frame(kind byte, payload []byte) []byte {
	b := []byte{kind, 0, 1}
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), 0xCE)
}

// contentHeader is the payload of a content header with a content type, the
// given headers table (without its length) and a delivery mode.
func contentHeader(table []byte) []byte {
	b := []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4}
	b = binary.BigEndian.AppendUint16(b, 0x8000|0x2000|0x1000)
	b = append(b, 3)
	b = append(b, "abc"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(table)))
	b = append(b, table...)
	return append(b, 2)
}

func entry(name string, value ...byte) []byte {
	return append(append([]byte{byte(len(name))}, name...), value...)
}

// deep is a table in a table, so many times.
func deep(levels int) []byte {
	var table []byte
	for range levels {
		value := append([]byte{'F'}, binary.BigEndian.AppendUint32(nil, uint32(len(table)))...)
		table = entry("t", append(value, table...)...)
	}
	return table
}

const marker = "x-ea-unreadable-test"

// replacement is the headers table in place of an unreadable one.
func replacement(reason string, raw []byte) []byte {
	text := append([]byte{'S'}, binary.BigEndian.AppendUint32(nil, uint32(len(reason)))...)
	rawValue := append([]byte{'x'}, binary.BigEndian.AppendUint32(nil, uint32(len(raw)))...)
	return append(entry(marker, append(text, reason...)...), entry(marker+"-raw", append(rawValue, raw...)...)...)
}

var _ = Describe("the header guard", func() {
	through := func(stream []byte, maxFrame int, src func(io.Reader) io.Reader) []byte {
		GinkgoHelper()
		out, err := io.ReadAll(broker.GuardReader(marker, maxFrame, src(bytes.NewReader(stream))))
		Expect(err).NotTo(HaveOccurred())
		return out
	}
	sources := map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"in halves":    iotest.HalfReader,
	}

	It("leaves what the client can parse as it is, however it arrives", func() {
		var stream []byte
		for _, f := range [][]byte{
			frame(1, []byte("method")), frame(8, nil), frame(2, contentHeader(nil)), frame(3, bytes.Repeat([]byte("b"), 200_000)),
			frame(2, contentHeader(deep(32))), frame(3, nil), frame(2, []byte{0, 60}), frame(2, nil),
			frame(2, contentHeader(entry("all", 't', 1))),
			frame(2, contentHeader(bytes.Join([][]byte{
				entry("V", 'V'), entry("s", 's', 0, 1), entry("I", 'I', 0, 0, 0, 1), entry("l", 'l', 0, 0, 0, 0, 0, 0, 0, 1),
				entry("D", 'D', 1, 0, 0, 0, 1), entry("S", 'S', 0, 0, 0, 1, 'x'), entry("x", 'x', 0, 0, 0, 0), entry("A", 'A', 0, 0, 0, 2, 't', 1),
			}, nil))),
		} {
			stream = append(stream, f...)
		}
		for name, src := range sources {
			Expect(through(stream, 0, src)).To(Equal(stream), name)
		}
	})

	DescribeTable("replaces what it cannot parse, and nothing beside it",
		func(table []byte, reason string) {
			before, after := frame(1, []byte("method")), append(frame(3, []byte("body")), frame(2, contentHeader(nil))...)
			stream := bytes.Join([][]byte{before, frame(2, contentHeader(table)), after}, nil)
			want := bytes.Join([][]byte{before, frame(2, contentHeader(replacement(reason, table))), after}, nil)
			for name, src := range sources {
				Expect(through(stream, 0, src)).To(Equal(want), name)
			}
		},
		Entry("too deep", deep(33), "nested deeper than 32 levels"),
		Entry("an unknown type", entry("a", 'Z', 1), "not a valid table"),
		Entry("a value beyond the end", entry("a", 'S', 0, 0, 1, 0, 'x'), "not a valid table"),
		Entry("a name beyond the end", []byte{200, 'a'}, "not a valid table"),
		Entry("a name without value", entry("a"), "not a valid table"),
		Entry("too many entries", bytes.Repeat(entry("a", 'V'), 8193), "more than 8192 entries in one table"),
		Entry("too many elements", entry("a", append([]byte{'A', 0, 0, 0x20, 1}, bytes.Repeat([]byte{'V'}, 8193)...)...), "more than 8192 entries in one table"),
	)

	It("replaces headers that outgrow the negotiated frame", func() {
		table := entry("a", append([]byte{'S', 0, 0, 0x40, 0}, make([]byte, 0x4000)...)...)
		stream := frame(2, contentHeader(table))
		Expect(through(stream, len(stream), sources["at once"])).To(Equal(stream))
		out := through(stream, len(stream)-1, sources["in halves"])
		Expect(out).To(ContainSubstring("larger than a frame"))
	})
})

// FuzzGuard: any bytes give the same output however they arrive, end in no
// panic, and grow by no more than the replaced headers.
func FuzzGuard(f *testing.F) {
	f.Add(append(frame(2, contentHeader(deep(40))), frame(3, []byte("b"))...))
	f.Add(append(frame(1, []byte("m")), frame(2, contentHeader(entry("a", 'A', 0, 0, 0, 1, 'F')))...))
	f.Add([]byte("AMQP\x00\x00\x09\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := io.ReadAll(broker.GuardReader(marker, 4096, bytes.NewReader(stream)))
		if err != nil && err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		pieces := broker.GuardReader(marker, 4096, iotest.OneByteReader(bytes.NewReader(stream)))
		var got []byte
		for {
			buf := make([]byte, 1+rand.IntN(50))
			n, err := pieces.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, whole) {
			t.Fatalf("in pieces %q, at once %q", got, whole)
		}
	})
}
