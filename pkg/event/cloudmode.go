package event

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// structured reads the body as one CloudEvent in JSON.
func (w *work) structured() ([]*Document, error) {
	if w.container('{', eventObject) && w.cloudEvent(nil) && w.end() {
		return w.one("time")
	}
	return nil, w.bad.err()
}

// batch reads the body as a JSON array of CloudEvents. An empty one is refused,
// although the format allows it: a message comes to an event or to a dead
// letter, never to silence.
func (w *work) batch() ([]*Document, error) {
	if !w.container('[', "a batch, a JSON array of CloudEvents") {
		return nil, w.bad.err()
	}
	w.pos++
	w.space()
	if w.next(']') {
		w.refuse("expected one event or more, found an empty batch")
		return nil, w.bad.err()
	}
	var docs []*Document
	for i := 0; ; i++ {
		w.base = "/" + strconv.Itoa(i)
		doc, ok := w.batched()
		if !ok {
			return nil, w.bad.err()
		}
		docs = append(docs, doc)
		w.base = ""
		w.space()
		if w.next(',') {
			w.space()
			continue
		}
		if (!w.next(']') && !w.unexpected("',' or ']'")) || !w.end() || !w.bad.none() {
			return nil, w.bad.err()
		}
		return docs, nil
	}
}

// batched reads one event of a batch; false when reading on makes no sense.
func (w *work) batched() (*Document, bool) {
	w.beginEvent()
	if w.pos < len(w.in) && w.in[w.pos] != '{' {
		w.refuse("expected a CloudEvent, a JSON object, found %s", w.found())
		return nil, w.skip(1)
	}
	if w.pos >= len(w.in) {
		return nil, w.unexpected("a CloudEvent")
	}
	if !w.cloudEvent(nil) {
		return nil, false
	}
	doc := new(Document)
	w.finish("time", doc)
	return doc, true
}

// cloudPrefixes are those of binary mode: the AMQP binding's two, and HTTP's,
// which bridges carry over.
var cloudPrefixes = []string{"ce-", "cloudEvents:", "cloudEvents_"}

// cloudAttribute is the attribute that a header carries, in lower case.
func cloudAttribute(header string) (string, bool) {
	if len(header) < 4 || header[0]|0x20 != 'c' {
		return "", false
	}
	for _, p := range cloudPrefixes {
		if len(header) > len(p) && strings.EqualFold(header[:len(p)], p) {
			return strings.ToLower(header[len(p):]), true
		}
	}
	return "", false
}

// hasCloudHeaders says whether a message is a CloudEvent in binary mode. One
// required attribute is enough: a sender that forgets the others learns which.
func hasCloudHeaders(headers map[string]any) bool {
	for h := range headers {
		if name, ok := cloudAttribute(h); ok {
			switch name {
			case "specversion", "id", "source", "type":
				return true
			}
		}
	}
	return false
}

// binary reads a CloudEvent whose attributes are headers and whose data is the
// body. The attributes are written as the JSON of structured mode and read like
// it, so that one piece of code knows what they mean; the body is read apart
// from them, and where it lies.
func (w *work) binary() ([]*Document, error) {
	w.in = w.attributesJSON()
	if w.cloudEvent(w.binaryData) && w.end() {
		return w.one("time")
	}
	return nil, w.bad.err()
}

func (w *work) attributesJSON() []byte {
	type pair struct {
		name, text string // text tells equal values
		value      any
	}
	var pairs []pair
	for h, v := range w.msg.Headers {
		name, ok := cloudAttribute(h)
		if ok && name != "datacontenttype" && name != "data" && name != "data_base64" {
			pairs = append(pairs, pair{name, fmt.Sprint(v), v})
		}
	}
	if w.msg.ContentType != "" {
		pairs = append(pairs, pair{name: "datacontenttype", value: w.msg.ContentType})
	}
	// By name, since a map has no order, and a redelivered message must become
	// the same document.
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.text, b.text)
	})
	b := []byte{'{'}
	for i, p := range pairs {
		if i > 0 {
			if p.name == pairs[i-1].name && p.text == pairs[i-1].text {
				continue // one attribute with two prefixes
			}
			b = append(b, ',')
		}
		b = append(appendQuoted(b, p.name), ':')
		b = w.appendHeader(b, p.name, p.value)
	}
	return append(b, '}')
}

// appendHeader writes an AMQP header's value as JSON.
func (w *work) appendHeader(b []byte, name string, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendQuoted(b, v)
	case []byte:
		return appendQuoted(b, string(v))
	case time.Time:
		return appendQuoted(b, v.UTC().Format(time.RFC3339Nano))
	case bool:
		return strconv.AppendBool(b, v)
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64:
		return fmt.Append(b, v)
	}
	w.refuseAt("/"+pointerEscaper.Replace(name), "expected a string, an integer, a boolean or a time, as attributes are, found a header of another type")
	return append(b, "null"...)
}

// appendQuoted writes s as a JSON string, byte for byte: what is not UTF-8 stays
// so and is refused when it is read.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// binaryData reads the body as the event's data: JSON, if the content type says
// so or says nothing; text as the string that it is; anything else in base64.
func (w *work) binaryData() bool {
	w.in, w.pos = w.msg.Body, 0
	media := mediaType(w.msg.ContentType)
	switch {
	case len(w.in) == 0:
		return true
	case media == "" || isJSON(media):
		w.member = "data"
		w.space()
		return w.readData()
	case strings.HasPrefix(media, "text/") && utf8.Valid(w.in):
		w.payloadOf("data", w.in)
		w.payload.text.reset()
		w.payload.text.add(w.in)
	default:
		w.payloadOf("data_base64", base64.StdEncoding.AppendEncode(nil, w.in))
	}
	w.pos = len(w.in)
	return true
}
