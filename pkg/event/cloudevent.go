package event

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// CloudEvents 1.0, mapped to the native shape while it is read. The mapping is
// written on the transcoder and not on the CloudEvents SDK: the SDK decodes
// into maps, which costs more than all the rest of an event's decoding, loses
// the order of keys and the width of integers, and takes what must be refused
// here (duplicate keys, `$`-keys). The specs use it as the sender instead.
//
//	CloudEvent                      event
//	type                            type: upper-cased, each of . - / : becomes _
//	                                (com.example.payment.failed: COM_EXAMPLE_PAYMENT_FAILED)
//	source                          source, unchanged
//	id                              event_id, derived from source and id as by DeriveID
//	time                            timestamp
//	severity, userid, sessionid,    severity, user_id, session_id, trace_id
//	traceid                         (trace_id also from traceparent)
//	region, ipaddress, useragent,   metadata.region, .ip_address, .user_agent,
//	causedby                        .caused_by
//	id, type                        metadata.ce_id, metadata.ce_type, as they came
//	subject, dataschema, other      metadata, by their own names
//	extensions
//	datacontenttype                 metadata.datacontenttype, unless it is JSON
//	data                            payload; what is no object: payload.data
//	data_base64, and a binary       payload.data_base64
//	event's body of another type

// attribute is a core attribute, or an extension that has a place of its own in
// an event. The bits tell which were seen.
type attribute uint32

const (
	attrSpecVersion attribute = 1 << iota
	attrID
	attrSource
	attrType
	attrTime
	attrContentType
	attrData
	attrDataBase64
	attrSeverity
	attrUserID
	attrSessionID
	attrTraceID
	attrOther attribute = 0
)

// attributeOf also returns the name as a constant, for pointers.
func attributeOf(key []byte) (attribute, string) {
	switch string(key) {
	case "specversion":
		return attrSpecVersion, "specversion"
	case "id":
		return attrID, "id"
	case "source":
		return attrSource, "source"
	case "type":
		return attrType, "type"
	case "time":
		return attrTime, "time"
	case "datacontenttype":
		return attrContentType, "datacontenttype"
	case "data":
		return attrData, "data"
	case "data_base64":
		return attrDataBase64, "data_base64"
	case "severity":
		return attrSeverity, "severity"
	case "userid":
		return attrUserID, "userid"
	case "sessionid":
		return attrSessionID, "sessionid"
	case "traceid":
		return attrTraceID, "traceid"
	}
	return attrOther, ""
}

// metadataName is under what name an extension is found in metadata.
func metadataName(key []byte) []byte {
	switch string(key) {
	case "ipaddress":
		return []byte("ip_address")
	case "useragent":
		return []byte("user_agent")
	case "causedby":
		return []byte("caused_by")
	}
	return key
}

// cloudEvent reads the event whose `{` is at pos, in CloudEvents' JSON form;
// after is called before its metadata are closed.
func (w *work) cloudEvent(after func() bool) bool {
	w.draft.cloudEvent = true
	return w.within(&w.metadata, func() bool {
		start, first := w.open(), len(w.keys)
		if !w.members(w.cloudMember) {
			return false
		}
		if after != nil && !after() {
			return false
		}
		w.member = ""
		w.path = append(w.path, noStep)
		w.refuseDuplicates(w.keys[first:])
		w.path, w.keys = w.path[:len(w.path)-1], w.keys[:first]
		w.requireAttributes()
		w.close(start)
		return true
	})
}

// cloudMember reads one attribute. null is a way to leave one out.
func (w *work) cloudMember(key []byte) bool {
	d := &w.draft
	a, name := attributeOf(key)
	if a == attrOther {
		return w.extension(key)
	}
	w.member = name
	if d.attributes&a != 0 {
		w.refuse("the key is there twice")
		return w.skip(1)
	}
	d.attributes |= a
	if a != attrData && w.pos < len(w.in) && w.in[w.pos] == 'n' {
		return w.literal("null")
	}
	d.attributesGiven |= a
	switch a {
	case attrSpecVersion:
		return w.readSpecVersion()
	case attrID:
		return w.readCloudID()
	case attrSource:
		d.given |= fieldSource
		return w.readSource()
	case attrType:
		d.given |= fieldType
		return w.readCloudType()
	case attrTime:
		d.given |= fieldTimestamp
		return w.readTimestamp()
	case attrContentType:
		return w.readContentType()
	case attrData:
		return w.readData()
	case attrDataBase64:
		return w.readBase64()
	case attrSeverity:
		return w.readCloudSeverity()
	case attrUserID:
		return w.readReference(&d.user)
	case attrSessionID:
		return w.readReference(&d.session)
	default:
		return w.readReference(&d.trace)
	}
}

func (w *work) requireAttributes() {
	given := w.draft.attributesGiven
	if given&attrSpecVersion == 0 {
		w.refuseAt("/specversion", `is required: "1.0"`)
	}
	if given&attrID == 0 {
		w.refuseAt("/id", "is required: what makes the event unique among those of its source")
	}
	if given&attrData != 0 && given&attrDataBase64 != 0 {
		w.refuseAt("/data_base64", "excludes data")
	}
}

func (w *work) readSpecVersion() bool {
	s, ok := w.textValue(`"1.0"`)
	if s != nil && string(s) != "1.0" {
		w.refuse(`expected "1.0", found %s`, excerpt(s))
	}
	return ok
}

func (w *work) readCloudID() bool {
	const want = "a string that is not empty"
	s, ok := w.textValue(want)
	if s != nil && len(s) == 0 {
		w.refuse("expected %s", want)
	}
	w.draft.cloudID = s
	w.add("ce_id", s)
	return ok
}

// readCloudType makes the event's type of the CloudEvent's. All of it is kept,
// also a reverse-DNS prefix: which part of it is the organisation cannot be
// known, and cutting it could make two types one.
func (w *work) readCloudType() bool {
	const want = "a type of 1 to 64 characters out of A-Z, a-z, 0-9 and . _ - / :, beginning with a letter"
	s, ok := w.textValue(want)
	if s == nil {
		return ok
	}
	w.add("ce_type", s)
	w.draft.typ = upperSnake(s)
	if !isType(w.draft.typ) {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	return ok
}

// upperSnake is nil when s has a character that no CloudEvents type should have.
func upperSnake(s []byte) []byte {
	if len(s) > typeMax {
		return nil
	}
	upper := make([]byte, len(s))
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z':
			upper[i] = c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			upper[i] = c
		case strings.IndexByte("._-/:", c) >= 0:
			upper[i] = '_'
		default:
			return nil
		}
	}
	return upper
}

func (w *work) readContentType() bool {
	s, ok := w.textValue("a media type")
	if media := mediaType(string(s)); s != nil && !isJSON(media) {
		w.add("datacontenttype", s)
	}
	return ok
}

// readCloudSeverity also takes a string of digits: in binary mode attributes
// are often all strings.
func (w *work) readCloudSeverity() bool {
	if w.pos >= len(w.in) || w.in[w.pos] != '"' {
		return w.readSeverity()
	}
	s, ok := w.view()
	v, err := strconv.Atoi(string(s))
	if err != nil || v < 1 || v > severityMax {
		w.refuse("expected an integer from 1 to 10, found the string %s", excerpt(s))
	}
	w.draft.severity = v
	return ok
}

// readData transcodes JSON data to payload. What is no object becomes its
// member `data`, so that payload is an object always.
func (w *work) readData() bool {
	return w.within(&w.payload, func() bool {
		if w.pos < len(w.in) && w.in[w.pos] == '{' {
			return w.object(2)
		}
		start := w.open()
		at := len(w.out)
		w.out = appendName(w.out, 0, "data")
		typ := w.value(2)
		if typ == 0 {
			return false
		}
		w.out[at] = typ
		w.close(start)
		return true
	})
}

func (w *work) readBase64() bool {
	const want = "a string in base64"
	s, ok := w.textValue(want)
	if s == nil {
		return ok
	}
	if _, err := base64.StdEncoding.DecodeString(string(s)); err != nil {
		w.refuse("expected %s, found %s", want, excerpt(s))
	}
	if w.draft.attributesGiven&attrData == 0 {
		w.payloadOf("data_base64", s)
	}
	return ok
}

// payloadOf makes payload an object with one string, which is data and not
// text: it does not go to search_text.
func (w *work) payloadOf(name string, s []byte) {
	b := appendString(append(w.payload.out[:0], 0, 0, 0, 0), name, s)
	w.payload.out = finishDocument(append(b, 0))
}

// extension writes an extension attribute to metadata.
func (w *work) extension(key []byte) bool {
	w.member = string(key)
	if !isAttributeName(key) {
		w.refuse("expected a CloudEvents attribute name, of a-z and 0-9 only")
		return w.skip(1)
	}
	if w.pos < len(w.in) {
		switch w.in[w.pos] {
		case 'n':
			return w.literal("null")
		case '{', '[':
			w.refuse("expected a string, an integer or a boolean, as attributes are, found %s", w.found())
			return w.skip(1)
		}
	}
	at := len(w.out)
	name := metadataName(key)
	w.out = appendName(w.out, 0, string(name))
	w.keys = append(w.keys, span{at + 1, at + 1 + len(name)})
	typ := w.value(1)
	if typ == 0 {
		return false
	}
	w.out[at] = typ
	return true
}

func isAttributeName(s []byte) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(s) > 0
}

// add writes a string to metadata.
func (w *work) add(name string, s []byte) {
	w.out = appendString(w.out, name, s)
	w.text.add(s)
}
