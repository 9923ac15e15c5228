package action

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// function is one function of templates, besides those of text/template.
type function struct {
	name, doc string
	call      any
}

// functionTable lists them as documentation does.
var functionTable = []function{
	{"json", "{{json .Event.payload}}: as JSON", toJSON},
	{"get", "{{get .Event \"payload.order.id\"}}: what is at a path, nothing where there is nothing", get},
	{"default", "{{default \"nobody\" .Event.user_id}}: instead of nothing", orDefault},
	{"upper", "{{upper .Event.source}}", strings.ToUpper},
	{"lower", "{{lower .Event.source}}", strings.ToLower},
	{"trim", "{{trim .Event.payload.text}}: without space at the ends", trim},
	{"replace", "{{replace \"_\" \" \" .Event.type}}", replace},
	{"contains", "{{if contains \"timeout\" .Event.payload.error}}: whether a text has another in it", contains},
	{"truncate", "{{truncate 80 .Event.payload.error}}: at most so many characters", truncate},
	{"join", "{{join \", \" .Group.Samples}}", join},
	{"date", "{{date \"2006-01-02 15:04\" \"Europe/Berlin\" .Event.timestamp}}: a time as Go's time package writes it, in a time zone", date},
	{"level", "{{level .Event.severity}}: info, warning, error or critical", level},
	{"number", "{{number 2 .Event.payload.amount}}: with so many decimals", number},
	{"keys", "{{range keys .Event.payload}}: the names in an object, sorted", keysOf},
}

var functions = makeFunctions()

func makeFunctions() template.FuncMap {
	m := template.FuncMap{boundLoop: countSteps}
	for _, f := range functionTable {
		m[f.name] = f.call
	}
	return m
}

// FunctionDocs are the functions of templates, name and line of documentation.
func FunctionDocs() [][2]string {
	docs := make([][2]string, len(functionTable))
	for i, f := range functionTable {
		docs[i] = [2]string{f.name, f.doc}
	}
	return docs
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func get(from any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch at := from.(type) {
		case map[string]any:
			from = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return nil
			}
			from = at[i]
		default:
			return nil
		}
	}
	return from
}

func orDefault(instead, v any) any {
	if v == nil || v == "" {
		return instead
	}
	return v
}

// text is a value in a text function: nothing for what is not there.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func trim(v any) string                { return strings.TrimSpace(text(v)) }
func contains(part string, v any) bool { return strings.Contains(text(v), part) }

// replace is bounded before it is made: a long text with a short one replaced
// by a long one could be gigabytes.
func replace(old, by string, v any) (string, error) {
	s := text(v)
	if old == "" {
		return s, nil
	}
	if len(s)+strings.Count(s, old)*(len(by)-len(old)) > maxOutput {
		return "", errTooLong
	}
	return strings.ReplaceAll(s, old, by), nil
}

func truncate(n int, v any) string {
	s := text(v)
	if n < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

func join(separator string, list []any) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, separator)
}

func date(layout, zone string, v any) (string, error) {
	in, err := time.LoadLocation(zone)
	if err != nil {
		return "", fmt.Errorf("date: %w", err)
	}
	switch at := v.(type) {
	case nil:
		return "", nil
	case templateTime:
		return at.In(in).Format(layout), nil
	case string:
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return "", fmt.Errorf("date: %q is no time", truncate(40, at))
		}
		return t.In(in).Format(layout), nil
	default:
		return "", fmt.Errorf("date: %T is no time", v)
	}
}

func level(severity any) string {
	switch n := severity.(type) {
	case int64:
		return event.Level(int(n))
	case float64:
		return event.Level(int(n))
	default:
		return ""
	}
}

// maxDecimals is what a float64 can tell apart.
const maxDecimals = 17

func number(decimals int, v any) string {
	decimals = min(max(decimals, 0), maxDecimals)
	switch n := v.(type) {
	case int64:
		return strconv.FormatFloat(float64(n), 'f', decimals, 64)
	case float64:
		return strconv.FormatFloat(n, 'f', decimals, 64)
	default:
		return text(v)
	}
}

func keysOf(v any) []any {
	m, _ := v.(map[string]any)
	names := make([]any, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		names = append(names, name)
	}
	return names
}
