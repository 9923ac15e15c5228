package metric

// Apart are the sums over all series, and what is counted of each value of each
// dimension by itself.
type Apart struct {
	All Sums
	By  map[Dimension]map[string]Totals
}

// Add adds what one series has.
func (a *Apart) Add(series Series, sums Sums) {
	a.All.Add(sums)
	for _, d := range Dimensions {
		a.Count(d, d.Of(series), sums.Totals)
	}
}

// Count adds to what one value has. Nothing leaves no trace.
func (a *Apart) Count(d Dimension, value string, totals Totals) {
	if totals.Count == 0 {
		return
	}
	if a.By == nil {
		a.By = map[Dimension]map[string]Totals{}
	}
	if a.By[d] == nil {
		a.By[d] = map[string]Totals{}
	}
	sum := a.By[d][value]
	sum.Add(totals)
	a.By[d][value] = sum
}

// AddApart adds other to a.
func (a *Apart) AddApart(other Apart) {
	a.All.Add(other.All)
	for d, values := range other.By {
		for value, totals := range values {
			a.Count(d, value, totals)
		}
	}
}

// difference is the first figure in which both differ, by its name; "": none.
func (a Apart) difference(other Apart) (figure string, is, should float64) {
	for _, kind := range Kinds {
		have := kind.Figures(a.All)
		for i, f := range kind.Figures(other.All) {
			switch {
			case have == nil:
				return kind.Name + " " + f.Name, 0, f.Value
			case !same(have[i].Value, f.Value):
				return kind.Name + " " + f.Name, have[i].Value, f.Value
			}
		}
	}
	if !a.All.Equal(other.All) {
		return "histogram", a.All.Response.Mean(), other.All.Response.Mean()
	}
	for _, d := range Dimensions {
		for _, values := range []map[string]Totals{a.By[d], other.By[d]} {
			for value := range values {
				if x, y := a.By[d][value], other.By[d][value]; x != y {
					return string(d) + " " + value, float64(x.Count), float64(y.Count)
				}
			}
		}
	}
	return "", 0, 0
}

// Sums compares the sums of a complete window with those that are stored for it,
// nil: none.
func (c *Comparison) Sums(p Period, w WindowSum, stored *Apart) {
	var should Apart
	for series, sums := range w.Series {
		should.Add(series, sums)
	}
	d := Drift{Kind: KindSums, Period: p.Name, Start: w.Start}
	if stored == nil {
		if should.All.Count == 0 {
			return
		}
		expected := float64(should.All.Count)
		d.Figure, d.Expected = "value", &expected
		c.Drift = append(c.Drift, d)
		return
	}
	if figure, is, expected := stored.difference(should); figure != "" {
		d.Figure, d.Value, d.Expected = figure, &is, &expected
		c.Drift = append(c.Drift, d)
	}
}
