package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// publishAndRead is what the README shows.
func publishAndRead(ctx context.Context, out io.Writer) error {
	api := client.New("http://127.0.0.1:8080", os.Getenv("EA_API_KEY"))
	posted, err := api.PostEvents(ctx, client.PostEventsParams{}, []client.NewEvent{{Type: "PAYMENT_FAILED", Source: "shop", Severity: 8, Payload: json.RawMessage(`{"amount":250}`)}})
	if err != nil {
		return err // a *client.Problem with its code and every mistake, or a *client.Unreachable
	}
	fmt.Fprintln(out, len(posted.Accepted), "accepted", posted.Rejected)
	for event, err := range api.AllEvents(ctx, client.ListEventsParams{Type: "PAYMENT_FAILED", Filter: `{"payload.amount": {"$gte": 100}}`}) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, event.Timestamp, event.EventID, string(event.Payload))
	}
	return nil
}

func Example() { //nolint:testableexamples // it needs an API
	if err := publishAndRead(context.Background(), os.Stdout); err != nil {
		panic(err)
	}
}

// A rule is changed only while it is at the version that was read.
func ExampleClient_PatchRule() { //nolint:testableexamples // it needs an API
	ctx := context.Background()
	api := client.New("http://127.0.0.1:8080", os.Getenv("EA_API_KEY"))
	rule, err := api.GetRule(ctx, "large-payments")
	if err != nil {
		panic(err)
	}
	_, err = api.PatchRule(ctx, rule.RuleID, client.PatchRuleParams{IfMatch: client.ETag(rule.Version)}, client.RulePatch{
		Enabled: client.To(false), Throttle: client.Removed[client.Throttle](),
	})
	if err != nil {
		panic(err)
	}
}

// Events are followed live, from where the last connection was on.
func ExampleFrames() { //nolint:testableexamples // it needs an API
	ctx := context.Background()
	api := client.New("http://127.0.0.1:8080", os.Getenv("EA_API_KEY"))
	wanted := client.StreamEventsParams{SeverityMin: 8}
	stream, err := api.StreamEvents(ctx, wanted)
	if err != nil {
		panic(err)
	}
	defer func() { _ = stream.Body.Close() }()
	for frame, err := range client.Frames(stream.Body) {
		if err != nil {
			break // connect again
		}
		if frame.Event == "event" {
			fmt.Fprintln(os.Stdout, frame.Data)
		}
		wanted.LastEventID = frame.ID // for the next connection
	}
}
