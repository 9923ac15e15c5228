package rule

import "strings"

// closest is the operator that a misspelt name most likely means, or "".
func (c *compiler) closest(name string) string {
	names := make([]string, 0, len(c.table)+len(unsupported))
	for n := range c.table {
		names = append(names, n)
	}
	return closest(strings.ToLower(name), names)
}

// closest is the candidate with the fewest typing errors between it and name,
// if they are few for a name of that length; of equals the first in the
// alphabet.
func closest(name string, candidates []string) string {
	best, bestAt := "", 3
	for _, candidate := range candidates {
		d := typingErrors(name, strings.ToLower(candidate))
		if d*3 > max(len(name), len(candidate)) {
			continue
		}
		if d < bestAt || d == bestAt && candidate < best {
			best, bestAt = candidate, d
		}
	}
	return best
}

// typingErrors counts insertions, deletions, replacements and swapped
// neighbours that turn a into b.
func typingErrors(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1] + b2i(a[i-1] != b[j-1])
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
