package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// compareTyped says what pkg/client would lose of an answer: decoded into the
// type of its operation and encoded again, it has the same fields in the same order. So eactl, which
// prints what it decoded, prints what the api said.
func compareTyped(o *Operation, answer *http.Response, got []byte) error {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	again, err := o.Again(kind, got)
	if err != nil || again == nil {
		return err
	}
	said, kept := tokens(got), tokens(again)
	at := 0
	for at < min(len(said), len(kept)) && said[at] == kept[at] {
		at++
	}
	if at == len(said) && at == len(kept) {
		return nil
	}
	around := func(all []json.Token) string { return fmt.Sprint(all[max(0, min(at-6, len(all))):min(at+6, len(all))]) }
	return fmt.Errorf("pkg/client does not keep it (`make generate`? or its fields come in another order): … %s … is then … %s …", around(said), around(kept))
}

// tokens are those of JSON, in their order; an escape is what it stands for.
func tokens(text []byte) []json.Token {
	var all []json.Token
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		d.UseNumber()
		token, err := d.Token()
		if err != nil {
			return append(all, err.Error()) // the end, or what is no JSON
		}
		all = append(all, token)
	}
}

// Again is an answer decoded by pkg/client, and encoded again; nil of one that
// it has no type for, such as a stream.
func (o *Operation) Again(mediaType string, answer []byte) ([]byte, error) {
	var value any
	switch mediaType {
	case "application/problem+json":
		value = new(client.Problem)
	case "application/json":
		method, err := o.ClientMethod()
		if err != nil {
			return nil, err
		}
		value = reflect.New(method.Type.Out(0)).Interface()
	default:
		return nil, nil
	}
	if err := json.Unmarshal(answer, value); err != nil {
		return nil, fmt.Errorf("pkg/client cannot read it: %w", err)
	}
	return json.Marshal(value)
}

// ClientMethod is pkg/client's method for an operation.
func (o *Operation) ClientMethod() (reflect.Method, error) {
	method, ok := reflect.TypeFor[*client.Client]().MethodByName(strings.ToUpper(o.ID[:1]) + o.ID[1:])
	if !ok {
		return method, errors.New("pkg/client has no method for it: make generate")
	}
	return method, nil
}
