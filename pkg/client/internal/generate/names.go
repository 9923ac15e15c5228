package main

import "strings"

// initialisms are written in capitals, as Go does.
var initialisms = map[string]string{
	"id": "ID", "ids": "IDs", "url": "URL", "api": "API", "ip": "IP", "http": "HTTP", "html": "HTML", "json": "JSON", "ok": "OK",
}

// goName turns next_cursor, If-Match and listEvents into NextCursor, IfMatch and
// ListEvents.
func goName(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == '.' }) {
		if capitals, ok := initialisms[strings.ToLower(word)]; ok {
			b.WriteString(capitals)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// lower begins with a small letter: ruleID, id.
func lower(name string) string {
	if name == strings.ToUpper(name) {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// one is the name of a list's items: RuleDiffChanges has a RuleDiffChange.
func one(list string) string {
	if strings.HasSuffix(list, "ss") || strings.HasSuffix(list, "us") {
		return list
	}
	return strings.TrimSuffix(list, "s")
}

// comment is a text as a Go comment.
func comment(indent, text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return indent + "// " + strings.ReplaceAll(strings.ReplaceAll(text, "\n", "\n"+indent+"// "), "// \n", "//\n") + "\n"
}

// about begins a comment with the name of what it is about: "A stored event."
// is "Event is a stored event."
func about(name, description string) string {
	first, rest, _ := strings.Cut(description, " ")
	switch first {
	case "A", "An", "The", "What":
		return name + " is " + strings.ToLower(first) + " " + rest
	}
	return name + ": " + description
}
