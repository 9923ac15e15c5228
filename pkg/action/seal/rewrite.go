package seal

import (
	"errors"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// changeText says what a text is changed to; field is the name of one at the top of
// the document, "" of any other.
type changeText func(field, text string, secret bool) (string, error)

// rewrite copies a document and changes its texts, at any depth. A text counts
// as secret when it differs from the one at its place in masked.
func rewrite(doc, masked bson.Raw, change changeText) (bson.Raw, error) {
	if len(doc) == 0 {
		return doc, nil
	}
	return rewriteDocument(nil, doc, masked, false, change)
}

var errMask = errors.New("a type's mask has another shape than its configuration")

func rewriteDocument(out []byte, doc, masked bson.Raw, list bool, change changeText) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	var masks []bson.RawElement
	if masked != nil {
		if masks, err = masked.Elements(); err != nil || len(masks) != len(elements) {
			return nil, errMask
		}
	}
	start, out := bsoncore.AppendDocumentStart(out)
	for i, e := range elements {
		name := e.Key()
		if list {
			name = strconv.Itoa(i)
		}
		v, mask := e.Value(), bson.RawValue{}
		if masks != nil {
			mask = masks[i].Value()
		}
		if out, err = rewriteValue(out, name, v, mask, masks != nil, change); err != nil {
			return nil, err
		}
	}
	return bsoncore.AppendDocumentEnd(out, start)
}

func rewriteValue(out []byte, name string, v, mask bson.RawValue, haveMask bool, change changeText) ([]byte, error) {
	if text, ok := v.StringValueOK(); ok {
		shown, same := mask.StringValueOK()
		changed, err := change(name, text, haveMask && (!same || shown != text))
		return bsoncore.AppendStringElement(out, name, changed), err
	}
	if v.Type != bson.TypeEmbeddedDocument && v.Type != bson.TypeArray {
		return bsoncore.AppendValueElement(out, name, bsoncore.Value{Type: v.Type, Data: v.Value}), nil
	}
	var inner bson.Raw
	if haveMask {
		if mask.Type != v.Type {
			return nil, errMask
		}
		inner = mask.Value
	}
	out = bsoncore.AppendHeader(out, v.Type, name)
	deeper := func(_, text string, secret bool) (string, error) { return change("", text, secret) }
	return rewriteDocument(out, v.Value, inner, v.Type == bson.TypeArray, deeper)
}

// contains looks for a text, at any depth.
func contains(doc bson.Raw, is func(text string) bool) bool {
	elements, err := doc.Elements()
	if err != nil {
		return false
	}
	for _, e := range elements {
		v := e.Value()
		text, isText := v.StringValueOK()
		switch {
		case isText && is(text):
			return true
		case v.Type == bson.TypeEmbeddedDocument || v.Type == bson.TypeArray:
			if contains(v.Value, is) {
				return true
			}
		}
	}
	return false
}
