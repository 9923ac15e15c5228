package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Search is a text search: words that must all be there, "phrases" whose words
// must follow each other, and -words that must not be there. Case does not
// matter. It judges search_text, whichever way the database found candidates,
// so that every server gives the same events.
type Search struct {
	Words   []string // all of them, those of phrases too; lower case, each once
	Phrases [][]string
	Without []string
}

const searchWordsMost = 16

// ParseSearch reads what somebody typed.
func ParseSearch(q string) (Search, error) {
	var s Search
	n := 0
	for rest := strings.TrimSpace(q); rest != ""; rest = strings.TrimSpace(rest) {
		not := strings.HasPrefix(rest, "-")
		rest = strings.TrimPrefix(rest, "-")
		var part string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			part, rest, _ = strings.Cut(quoted, `"`) // a last quote may be missing
		} else {
			end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
		}
		var words []string
		for w := range eachWord(part) {
			words = append(words, w.text)
		}
		if n += len(words); n > searchWordsMost {
			return Search{}, fmt.Errorf("more than %d words", searchWordsMost)
		}
		switch {
		case len(words) == 0:
		case not && len(words) > 1:
			return Search{}, fmt.Errorf("-%s has %d words; only single ones can be left out", part, len(words))
		case not:
			s.Without = append(s.Without, words[0])
		default:
			s.Words = append(s.Words, words...)
			if len(words) > 1 {
				s.Phrases = append(s.Phrases, words)
			}
		}
	}
	if len(s.Words) == 0 {
		return Search{}, errors.New("no word to look for: letters and digits make words, all else is between them")
	}
	slices.Sort(s.Words)
	s.Words = slices.Compact(s.Words)
	return s, nil
}

// Score says how well a search_text fits, 0 when it does not. It is the formula of
// MongoDB's text index: a word counts for more the oftener it comes, each further
// time half as much, and for more in a short text.
func (s Search) Score(text string) float64 {
	counts := make([]int, len(s.Words))
	total := 0
	var all []string
	for w := range eachWord(text) {
		total++
		if slices.Contains(s.Without, w.text) {
			return 0
		}
		if i, is := slices.BinarySearch(s.Words, w.text); is {
			counts[i]++
		}
		if len(s.Phrases) > 0 {
			all = append(all, w.text)
		}
	}
	score := 0.0
	for _, n := range counts {
		if n == 0 {
			return 0
		}
		frequency, weight := 0.0, 1.0
		for range n {
			frequency += weight
			weight /= 2
		}
		score += frequency * (0.5*float64(n)/float64(total) + 0.5)
	}
	for _, phrase := range s.Phrases {
		if !follows(all, phrase) {
			return 0
		}
	}
	return score
}

func follows(all, phrase []string) bool {
	for i := 0; i+len(phrase) <= len(all); i++ {
		if slices.Equal(all[i:i+len(phrase)], phrase) {
			return true
		}
	}
	return false
}

// Mark is where a word that was looked for stands in a text, in characters.
type Mark struct {
	Start int `json:"start"`
	End   int `json:"end"` // exclusive
}

// Marks are the places of the search's words in a text.
func (s Search) Marks(text string) (marks []Mark) {
	at, from := 0, 0 // characters before from
	for w := range eachWord(text) {
		if _, is := slices.BinarySearch(s.Words, w.text); !is {
			continue
		}
		at += utf8.RuneCountInString(text[from:w.from])
		start := at
		at += utf8.RuneCountInString(text[w.from:w.to])
		from = w.to
		marks = append(marks, Mark{start, at})
	}
	return marks
}

// word is one of a text: in lower case, and where it stands.
type word struct {
	text     string
	from, to int
}

// eachWord goes through a text's words, as MongoDB's text index has them:
// an underscore is part of a word, other punctuation is between words.
func eachWord(text string) func(func(word) bool) {
	return func(yield func(word) bool) {
		from := -1
		for i, r := range text {
			switch between := isBetween(r); {
			case between && from >= 0:
				if !yield(word{lowerText(text[from:i]), from, i}) {
					return
				}
				from = -1
			case !between && from < 0:
				from = i
			}
		}
		if from >= 0 {
			yield(word{lowerText(text[from:]), from, len(text)})
		}
	}
}

// lowerText is as search_text is lower-cased.
func lowerText(s string) string { return strings.Map(unicode.ToLower, s) }

func isBetween(r rune) bool {
	if r < utf8.RuneSelf {
		return r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}
	return unicode.IsSpace(r) || unicode.In(r, unicode.Pattern_Syntax, unicode.Dash, unicode.Quotation_Mark, unicode.Terminal_Punctuation)
}
