package ctl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// errCut is an export that is not whole.
var errCut = errors.New("the export was cut")

func (t *tool) eventsExport() *cobra.Command {
	var f storedFlags
	cursor := ""
	c := &cobra.Command{Use: "export", Short: "Write all events that match, as JSON lines or CSV", Args: exactly(0, "no arguments"),
		Long: `Write all stored events that match to the standard output as they are read: JSON lines, or CSV with -o csv. It ends with exit
code 0 only when the export is whole; otherwise it says how to go on.`,
		Example: `  eactl events export --last 720h > events.jsonl
  eactl events export --type PAYMENT_FAILED --fields timestamp,user_id,payload.amount -o csv > failed.csv`}
	f.bind(c.Flags(), 0)
	f.bindOrder(c.Flags())
	limit := c.Flags().Int64("limit", 0, "at most so many; 0: all")
	c.Flags().StringVar(&cursor, "cursor", "", "go on where an export was cut")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		format := map[string]string{outputTable: "ndjson", outputJSON: "ndjson", outputCSV: "csv"}[t.output]
		switch {
		case format == "":
			return &usageError{errors.New("an export is JSON lines, or CSV (-o csv)")}
		case *limit < 0:
			return &usageError{errors.New("--limit is 0 or more")}
		}
		api, err := t.apiFor(cmd, &f)
		if err != nil {
			return err
		}
		answer, err := api.ExportEvents(cmd.Context(), client.ExportEventsParams{
			Type: f.Type, Source: f.Source, Level: f.Level, SeverityMin: f.SeverityMin, SeverityMax: f.SeverityMax,
			UserID: f.UserID, SessionID: f.SessionID, TraceID: f.TraceID, Filter: f.Filter, From: f.from, To: f.to,
			Processed: f.processed, Rule: f.rule, Near: f.near, Sort: f.sort(), Fields: f.fields, Format: format, Limit: *limit, Cursor: cursor,
		})
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if err := t.copyExport(answer); err != nil {
			return err
		}
		if answer.Trailer.Get("X-Export-Events") == "0" {
			return errNothing
		}
		return nil
	}
	return c
}

// copyExport writes an export line by line, but for its last one where that says
// that it was cut: before, a line of a cell may look so.
func (t *tool) copyExport(answer *http.Response) error {
	in, out := bufio.NewReaderSize(answer.Body, 1<<16), bufio.NewWriterSize(t.out, 1<<16)
	var last []byte
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			if _, err := out.Write(last); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			last = line
		}
		if err == nil {
			continue
		}
		whole := errors.Is(err, io.EOF) && answer.Trailer.Get("X-Export-Events") != ""
		if cut := cutOff(last); cut != nil && !whole {
			return errors.Join(cut, out.Flush())
		}
		if _, err := out.Write(last); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
		switch {
		case whole:
			return out.Flush()
		case errors.Is(err, io.EOF):
			return errors.Join(fmt.Errorf("%w: the API, or something before it, did not say that it is whole", errCut), out.Flush())
		default:
			return errors.Join(fmt.Errorf("%w: the connection broke (%w); what was written is good, but not all", errCut, err), out.Flush())
		}
	}
}

// cutOff is the error that an export's last line tells, nil when the line is an
// event.
func cutOff(line []byte) error {
	if text, is := bytes.CutPrefix(line, []byte("# cut after ")); is {
		return fmt.Errorf("%w after %s", errCut, bytes.TrimSpace(text))
	}
	if !bytes.HasPrefix(line, []byte(`{"error":`)) {
		return nil
	}
	var said struct {
		Error struct {
			Detail string `json:"detail"`
			Events int    `json:"events"`
			Cursor string `json:"cursor"`
		} `json:"error"`
	}
	if err := json.Unmarshal(line, &said); err != nil || said.Error.Detail == "" {
		return fmt.Errorf("%w: %s", errCut, bytes.TrimSpace(line))
	}
	return fmt.Errorf("%w after %d events: %s\nGo on with --cursor %s", errCut, said.Error.Events, said.Error.Detail, said.Error.Cursor)
}
