package crowd

import (
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
)

// stored is what tastes look at in a stored event.
type stored struct {
	id, kind string
	severity int
}

func newStored(doc bson.Raw) stored {
	s := stored{}
	s.id, _ = doc.Lookup("event_id").StringValueOK()
	s.kind, _ = doc.Lookup("type").StringValueOK()
	severity, _ := doc.Lookup("severity").AsInt64OK()
	s.severity = int(severity)
	return s
}

// taste is a filter twice: as the API takes it, and in Go, so that what is
// compared is not the product's matcher with itself.
type taste struct {
	parameters map[string]string
	likes      func(stored) bool
}

// tasteOf is the i-th filter. One of a hundred takes everything and the next one
// nothing; the others take from a part in some hundreds to a few in a hundred.
func tasteOf(i int, types []string) taste {
	switch i % 100 {
	case 0:
		return taste{nil, func(stored) bool { return true }}
	case 1:
		return taste{map[string]string{"type": "NOBODY_SENDS_THIS"}, func(stored) bool { return false }}
	}
	kind := func(n int) string { return types[n%len(types)] }
	n := i / 6
	switch i % 6 {
	case 0:
		ending := fmt.Sprintf("%x", n%16)
		return taste{map[string]string{"type": kind(n), "filter": fmt.Sprintf(`{"event_id":{"$not":{"$regex":"%s$"}}}`, ending)},
			func(s stored) bool { return s.kind == kind(n) && !strings.HasSuffix(s.id, ending) }}
	case 1:
		ending := fmt.Sprintf("%02x", n%256)
		return taste{map[string]string{"filter": fmt.Sprintf(`{"event_id":{"$regex":"%s$"}}`, ending)},
			func(s stored) bool { return strings.HasSuffix(s.id, ending) }}
	case 2:
		return taste{map[string]string{"severity_min": "9", fields: "type,payload"}, func(s stored) bool { return s.severity >= 9 }}
	case 3:
		return taste{map[string]string{"filter": fmt.Sprintf(`{"$or":[{"severity":{"$gte":9}},{"type":%q}]}`, kind(n)), fields: "severity"},
			func(s stored) bool { return s.severity >= 9 || s.kind == kind(n) }}
	case 4:
		half := "[0-7]$"
		return taste{map[string]string{"filter": fmt.Sprintf(`{"$nor":[{"severity":{"$lt":8}},{"event_id":{"$regex":%q}}]}`, half)},
			func(s stored) bool { return s.severity >= 8 && s.id[len(s.id)-1] > '7' }}
	default:
		of := []string{kind(n), kind(n + 7), kind(n + 31)}
		return taste{map[string]string{"filter": fmt.Sprintf(`{"type":{"$in":[%q,%q,%q]}}`, of[0], of[1], of[2])},
			func(s stored) bool { return slices.Contains(of, s.kind) }}
	}
}
