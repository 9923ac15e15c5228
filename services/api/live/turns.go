package live

import "github.com/events-aggregator/events-aggregator/pkg/store"

// assign gives a member that resumes its line: the head, a stream that catches
// up and has not passed its place, or, together with all that wait, a new one.
func (h *Hub) assign(m *member) {
	h.detach(m)
	delete(h.waiting, m)
	if h.head == nil { // the hub ends
		return
	}
	if !m.doubt {
		if h.head.covers(m.place) {
			h.attach(m, h.head)
			return
		}
		for l := range h.lines {
			if l.covers(m.place) {
				h.attach(m, l)
				return
			}
		}
	}
	h.waiting[m] = struct{}{}
	h.catchUp()
}

// catchUp starts streams for the members that wait, each at the earliest place of
// those that it serves; the later ones skip what they know.
func (h *Hub) catchUp() {
	for len(h.waiting) > 0 && h.head != nil && h.head.open && h.life.Err() == nil {
		if len(h.lines) >= catchUps {
			h.makeWay()
			return
		}
		var first *member
		last := h.catchesUp(false) // those that have a stream come after those that have none
		for m := range h.waiting {
			if first == nil || earlier(m.place, first.place, last) {
				first = m
			}
		}
		from := first.place
		l := h.newLine(&from)
		h.lines[l] = struct{}{}
		for m := range h.waiting {
			if l.covers(m.place) {
				m.doubt = false
				m.sure = m.sure || m.place.String() == from.String()
				delete(h.waiting, m)
				h.attach(m, l)
			}
		}
		h.run(l)
	}
}

// earlier says whether a stream is to begin at p rather than at q. Places behind
// changes share one, those at a beginning only with their like, and behindLast
// says which come first. Of two beginnings it is the one that has waited longer, so
// that all have their turn. Of two tokens for one place the server forgets the
// older one first.
func earlier(p, q store.Place, behindLast bool) bool {
	if p.AtBeginning() != q.AtBeginning() {
		return p.AtBeginning() == behindLast
	}
	c := p.Compare(q)
	if c != 0 && p.AtBeginning() {
		return p.Seen.Before(q.Seen)
	}
	return c < 0 || c == 0 && p.Seen.After(q.Seen)
}

// catchesUp says whether a stream that catches up is at its beginning, or behind a
// change.
func (h *Hub) catchesUp(atBeginning bool) bool {
	for l := range h.lines {
		if !l.finished && l.place.AtBeginning() == atBeginning {
			return true
		}
	}
	return false
}

// makeWay has a stream that has nothing to read begin again for both its members
// and those that wait, or end and wait for its next turn when they cannot share it.
func (h *Hub) makeWay() {
	atBeginning := true // all that wait
	for m := range h.waiting {
		atBeginning = atBeginning && m.place.AtBeginning()
	}
	like := h.catchesUp(atBeginning)
	for l := range h.lines {
		if l.finished { // which makes way already
			return
		}
	}
	for l := range h.lines {
		if l.idle && (!like || l.place.AtBeginning() == atBeginning) {
			l.finished = true
			for m := range l.members {
				if m.cursor == l.next && l.place.Compare(m.place) >= 0 {
					m.place = l.place // it had its turn just now
				}
				h.detach(m)
				h.waiting[m] = struct{}{}
			}
			l.shout() // they wait for their new line now
			l.end()   // which comes back here
			return
		}
	}
}
