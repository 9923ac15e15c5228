package ingester_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/services/ingester"
)

var _ = Describe("batching", func() {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := start.Add
	mild := func(id string) ingester.TestItem {
		return ingester.TestItem{ID: id, Severity: 3, Bytes: 100}
	}
	grave := func(id string) ingester.TestItem {
		return ingester.TestItem{ID: id, Severity: 9, Bytes: 100}
	}
	again := func(it ingester.TestItem) ingester.TestItem {
		it.Again = true
		return it
	}
	var b ingester.TestBatcher
	BeforeEach(func() { b = ingester.NewTestBatcher(3, 1000, 20*time.Millisecond) })

	taken := func(ids []string, reason string) string { return fmt.Sprint(ids, " ", reason) }

	It("goes when it is full", func() {
		b.Add(start, mild("1"), mild("2"))
		Expect(taken(b.Take())).To(Equal("[] "))
		b.Add(start, mild("3"), mild("4"))
		Expect(taken(b.Take())).To(Equal("[1 2 3] full"))
		Expect(taken(b.Take())).To(Equal("[] "))
	})

	It("goes before it has too many bytes, and an event that has too many alone goes alone", func() {
		huge := mild("3")
		huge.Bytes = 5000
		b.Add(start, mild("1"), mild("2"), huge, mild("4"))
		Expect(taken(b.Take())).To(Equal("[1 2] bytes"))
		Expect(taken(b.Take())).To(Equal("[3] bytes"))
		Expect(taken(b.Take())).To(Equal("[] "))
		Expect(b.Rest()).To(Equal([]string{"4"}))
	})

	It("goes when nothing more comes", func() {
		b.Add(start, mild("1"))
		wait, waiting := b.Wait(start)
		Expect(waiting).To(BeTrue())
		Expect(wait).To(Equal(time.Millisecond))
		b.Expire(after(wait))
		Expect(taken(b.Take())).To(Equal("[1] dry"))
		_, waiting = b.Wait(after(wait))
		Expect(waiting).To(BeFalse())
	})

	It("goes when its first event has waited long enough, however steadily others come", func() {
		b = ingester.NewTestBatcher(1000, 1<<20, 20*time.Millisecond)
		for i := range 40 {
			now := after(time.Duration(i) * time.Millisecond / 2)
			b.Add(now, mild(fmt.Sprint(i)))
			b.Expire(now)
			Expect(b.Take()).To(BeNil())
		}
		wait, _ := b.Wait(after(19500 * time.Microsecond))
		Expect(wait).To(Equal(500 * time.Microsecond))
		b.Add(after(20*time.Millisecond), mild("40"))
		b.Expire(after(20 * time.Millisecond))
		ids, reason := b.Take()
		Expect(ids).To(HaveLen(41))
		Expect(reason).To(Equal("wait"))
	})

	It("grows on while no writer is free", func() {
		b.Add(start, mild("1"))
		b.Expire(after(time.Millisecond))
		b.Add(after(time.Second), mild("2"))
		Expect(taken(b.Take())).To(Equal("[1 2] dry"))
	})

	It("keeps critical events apart, and lets them go first", func() {
		b.Add(start, mild("1"), grave("2"), mild("3"), mild("4"), mild("5"))
		b.Expire(after(time.Millisecond))
		Expect(taken(b.Take())).To(Equal("[2] dry"))
		Expect(taken(b.Take())).To(Equal("[1 3 4] full"))
		Expect(taken(b.Take())).To(Equal("[5] dry"))
	})

	It("does not let critical events wait for company while others go", func() {
		b.Add(start, mild("1"), grave("2"))
		Expect(taken(b.Take())).To(Equal("[] "))
		b.Add(start, mild("3"), mild("4"), grave("5"))
		Expect(taken(b.Take())).To(Equal("[2 5] ahead"))
		Expect(taken(b.Take())).To(Equal("[1 3 4] full"))
		b.Add(start, mild("6"), again(grave("7")), grave("8"))
		Expect(taken(b.Take())).To(Equal("[] "))
	})

	It("keeps apart what came again", func() {
		b.Add(start, mild("1"), again(mild("2")), again(grave("3")), mild("4"))
		b.Expire(after(time.Millisecond))
		fresh, repeated := b.Ready()
		Expect(fresh).To(Equal([]string{"1", "4"}))
		Expect(repeated).To(Equal([]string{"3"}))
	})

	It("puts nothing beside a suspect", func() {
		b.Add(start, mild("1"))
		b.Alone(start, mild("2"))
		b.Alone(start, mild("3"), mild("4"), grave("5"))
		b.Expire(after(time.Millisecond))
		Expect(taken(b.Take())).To(Equal("[5] alone"))
		Expect(taken(b.Take())).To(Equal("[2] alone"))
		Expect(taken(b.Take())).To(Equal("[3 4] alone"))
		Expect(taken(b.Take())).To(Equal("[1] dry"))
	})

	It("leaves nothing behind at the end", func() {
		b.Add(start, mild("1"), mild("2"), mild("3"), mild("4"), grave("5"), again(mild("6")))
		Expect(b.Rest()).To(ConsistOf("1", "2", "3", "4", "5", "6"))
		Expect(b.Rest()).To(BeEmpty())
	})
})

var _ = Describe("the memory of ids", func() {
	It("lets the second of two equal events wait for the first", func() {
		k := ingester.NewTestIDs(10)
		first, is, known := k.Begin("a")
		Expect(is).To(BeTrue())
		Expect(known).To(BeFalse())
		_, is, _ = k.Begin("a")
		Expect(is).To(BeFalse())
		Expect(k.Stored(first)).To(Equal(1))
		Expect(k.UnderWay()).To(BeZero())
	})

	It("suspects what was stored lately, and forgets the oldest", func() {
		k := ingester.NewTestIDs(3)
		for _, id := range []string{"a", "b", "c", "c", "d"} {
			h, is, _ := k.Begin(id)
			Expect(is).To(BeTrue())
			Expect(k.Stored(h)).To(BeZero())
		}
		for id, want := range map[string]bool{"a": false, "b": true, "c": true, "d": true} {
			_, _, known := k.Begin(id)
			Expect(known).To(Equal(want), id)
		}
	})

	It("remembers nothing when it may not", func() {
		k := ingester.NewTestIDs(0)
		h, _, _ := k.Begin("a")
		k.Stored(h)
		_, is, known := k.Begin("a")
		Expect(is).To(BeTrue())
		Expect(known).To(BeFalse())
	})

	It("gives the place of a refused event to the one that waited for it", func() {
		k := ingester.NewTestIDs(10)
		one, _, _ := k.Begin("a")
		k.Begin("a")
		k.Begin("a")
		two, more := k.Refused(one)
		Expect(more).To(BeTrue())
		three, more := k.Refused(two)
		Expect(more).To(BeTrue())
		_, more = k.Refused(three)
		Expect(more).To(BeFalse())
		Expect(k.UnderWay()).To(BeZero())
		_, _, known := k.Begin("a")
		Expect(known).To(BeFalse(), "a refused event is not stored")
	})

	It("returns those that waited together with the event that goes back", func() {
		k := ingester.NewTestIDs(10)
		one, _, _ := k.Begin("a")
		k.Begin("a")
		Expect(k.Returned(one)).To(Equal(1))
		Expect(k.UnderWay()).To(BeZero())
	})
})
