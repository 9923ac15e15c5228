package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/pkg/client"
	"github.com/events-aggregator/events-aggregator/test/support/contract"
)

// carrier is a transport that answers by itself.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// answering makes a client whose requests are all answered so, and keeps the
// last one.
func answering(a contract.Answer) (api *client.Client, asked *http.Request) {
	asked = new(http.Request)
	api = client.New("http://api.test/", "ea_key")
	api.HTTP = &http.Client{Transport: carrier(func(r *http.Request) (*http.Response, error) {
		*asked = *r
		header := http.Header{"Content-Type": {a.Kind}}
		for _, name := range a.Headers {
			header.Set(name, "1")
		}
		return &http.Response{StatusCode: a.Status, Status: fmt.Sprint(a.Status, " ", http.StatusText(a.Status)), Header: header, Body: io.NopCloser(bytes.NewReader(a.Text)), Request: r}, nil
	})}
	return api, asked
}

// The examples of the document stand for what the api says; test/e2e compares
// what it really says.
var _ = Describe("every operation of the document", func() {
	var d *contract.Document
	BeforeEach(func() {
		var err error
		d, err = contract.Load()
		Expect(err).NotTo(HaveOccurred())
	})

	It("has a method that asks as the document says, and returns all that is answered", func(ctx SpecContext) {
		var carried http.RoundTripper
		compared := contract.Watch(carrier(func(r *http.Request) (*http.Response, error) { return carried.RoundTrip(r) }))
		for _, o := range d.Operations {
			for _, a := range d.Answers(o) {
				at := fmt.Sprintf("%s answered %d: %s", o.ID, a.Status, a.Text)
				if again, err := o.Again(a.Kind, a.Text); err != nil || again != nil {
					Expect(err).NotTo(HaveOccurred(), at)
					Expect(again).To(MatchJSON(a.Text), at)
					a.Text = again // an example's fields are in no order
				}
				api, asked := answering(a)
				carried, api.HTTP.Transport = api.HTTP.Transport, compared // which fails the call if the request is not as the document says
				results, sent := call(ctx, &o, api)
				Expect(compared.Broken()).To(BeEmpty(), at)
				Expect(asked.Method).To(Equal(o.Method), at)
				Expect(d.Find(asked.Method, asked.URL.EscapedPath())).To(HaveField("ID", o.ID), at)
				Expect(asked.Header.Get("Authorization")).To(Equal("Bearer ea_key"))
				query := asked.URL.Query()
				for name, text := range sent {
					Expect([]string{query.Get(name), asked.Header.Get(name)}).To(ContainElement(text), "%s in %s", name, at)
				}

				err, _ := results[len(results)-1].(error)
				switch {
				case a.Kind == "application/problem+json":
					var p *client.Problem
					Expect(err).To(BeAssignableToTypeOf(p), at)
					Expect(json.Marshal(err)).To(MatchJSON(a.Text), at)
				case len(results) == 1:
					Expect(err).NotTo(HaveOccurred(), at)
				case a.Kind == "application/json":
					Expect(err).NotTo(HaveOccurred(), at)
					Expect(json.Marshal(results[0])).To(MatchJSON(a.Text), at)
				}
			}
		}
	})
})

// at is a time with a fraction, which must not get lost.
var at = time.Date(2026, 3, 1, 12, 30, 0, 123_456_000, time.UTC)

// call calls the method of an operation with every parameter that there is; sent
// is what must arrive of them.
func call(ctx context.Context, o *contract.Operation, api *client.Client) (results []any, sent map[string]string) {
	GinkgoHelper()
	method, err := o.ClientMethod()
	Expect(err).NotTo(HaveOccurred())
	arguments := []reflect.Value{reflect.ValueOf(api), reflect.ValueOf(ctx)}
	sent = map[string]string{}
	for i := 2; i < method.Type.NumIn(); i++ {
		kind := method.Type.In(i)
		value := reflect.New(kind).Elem()
		switch {
		case kind == reflect.TypeFor[client.Body]():
			value.Set(reflect.ValueOf(client.JSON(o.Sample())))
		case strings.HasSuffix(kind.Name(), "Params"):
			for _, p := range o.Parameters {
				if p.In != "path" && p.Name != "last_event_id" { // which is the header's for browsers
					set(value, p, sent)
				}
			}
		case kind.Kind() == reflect.String:
			value.SetString("none-such")
		case kind.Kind() == reflect.Int64:
			value.SetInt(7)
		default:
			sample := o.Sample()
			if kind.Kind() == reflect.Slice && !bytes.HasPrefix(sample, []byte("[")) {
				sample = append(append([]byte("["), sample...), ']')
			}
			Expect(json.Unmarshal(sample, value.Addr().Interface())).To(Succeed(), "%s of %s", sample, o.ID)
			Expect(json.Marshal(value.Interface())).To(MatchJSON(sample), o.ID)
		}
		arguments = append(arguments, value)
	}
	for _, result := range method.Func.Call(arguments) {
		results = append(results, result.Interface())
	}
	return results, sent
}

// set sets a parameter's field to something that the document allows.
func set(params reflect.Value, p contract.Parameter, sent map[string]string) {
	GinkgoHelper()
	field := params.FieldByNameFunc(func(name string) bool {
		return strings.EqualFold(name, strings.NewReplacer("_", "", "-", "").Replace(p.Name))
	})
	Expect(field.IsValid()).To(BeTrue(), "no field for %s", p.Name)
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	choices, _ := p.Schema["enum"].([]any)
	switch {
	case field.Type() == reflect.TypeFor[client.Time]():
		field.Set(reflect.ValueOf(client.At(at)))
		sent[p.Name] = "2026-03-01T12:30:00.123456Z"
	case field.Kind() == reflect.Int64:
		field.SetInt(7)
		sent[p.Name] = "7"
	case field.Kind() == reflect.Bool:
		field.SetBool(true)
		sent[p.Name] = "true"
	case len(choices) > 0:
		field.SetString(choices[0].(string))
		sent[p.Name] = field.String()
	default:
		field.SetString("a&b=c")
		sent[p.Name] = field.String()
	}
}
