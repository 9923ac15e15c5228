package ctl

import (
	"math"
	"strconv"
	"strings"
)

var (
	// bars are the heights of a small chart, plainBars those where nobody looks:
	// a file or another program may not know the characters.
	bars      = []rune("▁▂▃▄▅▆▇█")
	plainBars = []rune("_.:-=+*#")
)

// chartWidth fits beside a table's other columns.
const chartWidth = 60

// chart draws values from zero up, nil as a gap. Of more values than there is
// room for, each character is the largest of several.
func (t *tool) chart(values []*float64) string {
	heights := plainBars
	if isTerminal(t.out) {
		heights = bars
	}
	return chart(values, heights)
}

func chart(values []*float64, heights []rune) string {
	_, most, _ := extremes(values)
	width := min(len(values), chartWidth)
	var b strings.Builder
	for i := range width {
		_, v, _ := extremes(values[i*len(values)/width : (i+1)*len(values)/width])
		switch {
		case v == nil:
			b.WriteByte(' ')
		case *v <= 0 || *most <= 0:
			b.WriteRune(heights[0])
		default: // the least of all that is not nothing shows
			b.WriteRune(heights[min(1+int(*v / *most * float64(len(heights)-2)), len(heights)-1)])
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// extremes are the smallest, the largest and the last of the values that there are.
func extremes(values []*float64) (least, most, last *float64) {
	for _, v := range values {
		if v == nil {
			continue
		}
		if last = v; least == nil || *v < *least {
			least = v
		}
		if most == nil || *v > *most {
			most = v
		}
	}
	return least, most, last
}

// value is a number as a table shows it.
func value(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v == math.Trunc(*v):
		return strconv.FormatFloat(*v, 'f', 0, 64)
	default:
		return strconv.FormatFloat(*v, 'g', 3, 64)
	}
}

// share is a bar of at most 20 characters for a part of a whole.
func (t *tool) share(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	full := "#"
	if isTerminal(t.out) {
		full = "█"
	}
	return strings.Repeat(full, int((20*part+whole-1)/whole))
}
