package metric

// Dimension is one of the three that a series consists of.
type Dimension string

// The dimensions.
const (
	Type   Dimension = "type"
	Source Dimension = "source"
	Region Dimension = "region"
)

// Dimensions lists them in the order of Series' fields.
var Dimensions = []Dimension{Type, Source, Region}

const (
	// Other is what a value counts as that a full dimension does not name.
	Other = "other"
	// valueMax is the longest value in bytes that is counted by name. Validated
	// events are within it; it keeps the registry's documents small whatever
	// else may be in the database.
	valueMax = 512
)

// Admissible says whether a value may be counted by name at all.
func Admissible(value string) bool { return len(value) <= valueMax }

// Registry is what each dimension counts by name. Values are never taken
// back, and a full dimension admits no more, so a value counts under the same
// name for ever, whoever counts it and whoever recounts it.
type Registry map[Dimension]Named

// Named is one dimension's part of the registry.
type Named struct {
	Values map[string]bool
	Full   bool
}

// Of is the series' value in the dimension.
func (d Dimension) Of(s Series) string {
	switch d {
	case Type:
		return s.Type
	case Source:
		return s.Source
	default:
		return s.Region
	}
}

// Set gives the series its value in the dimension.
func (d Dimension) Set(s *Series, value string) {
	switch d {
	case Type:
		s.Type = value
	case Source:
		s.Source = value
	default:
		s.Region = value
	}
}

// Unregistered says whether the value needs a place in the registry. The
// absent region and "other" itself need none.
func (r Registry) Unregistered(d Dimension, value string) bool {
	return value != "" && value != Other && Admissible(value) && !r[d].Values[value]
}

// Name is what the value counts as.
func (r Registry) Name(d Dimension, value string) string {
	if value == "" || r[d].Values[value] {
		return value
	}
	return Other
}

// Map is the series under which one is counted.
func (r Registry) Map(s Series) Series {
	return Series{Type: r.Name(Type, s.Type), Source: r.Name(Source, s.Source), Region: r.Name(Region, s.Region)}
}
