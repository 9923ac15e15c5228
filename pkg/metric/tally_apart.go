package metric

import "go.mongodb.org/mongo-driver/bson"

// ApartTally adds stored events up as Apart has them. It has a row for each value of
// each dimension, and none for each combination of values that occurs.
type ApartTally struct {
	responses bool
	names     *Names
	all       tallied
	by        map[Dimension]map[string]*Totals
}

// NewApartTally begins to add up.
func NewApartTally(responses bool, names *Names) *ApartTally {
	t := &ApartTally{responses: responses, names: names, by: map[Dimension]map[string]*Totals{}}
	for _, d := range Dimensions {
		t.by[d] = map[string]*Totals{}
	}
	return t
}

// Fields are the paths of an event that Add reads.
func (t *ApartTally) Fields() []string { return fieldsOf(false, Dimensions, t.responses) }

// Add adds an event. What it lacks counts as none; an error means that it is no
// document.
func (t *ApartTally) Add(doc bson.Raw) error {
	f, err := scan(doc)
	if err != nil {
		return err
	}
	t.all.add(&f, t.responses, true)
	one := TotalsOf(int(f.severity), 1)
	for d, values := range t.by {
		name := t.names.name(d, f.of(d))
		sum := values[name]
		if sum == nil {
			sum = &Totals{}
			values[name] = sum
		}
		sum.Add(one)
	}
	return nil
}

// Apart is what was added up.
func (t *ApartTally) Apart() Apart {
	apart := Apart{All: t.all.whole()}
	for d, values := range t.by {
		for value, totals := range values {
			apart.Count(d, value, *totals)
		}
	}
	return apart
}
