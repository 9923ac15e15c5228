// Command runreport is the part of scripts/run that reads JSON.
//
//	runreport line BEFORE PREVIOUS NOW SECONDS   the live status line
//	runreport drained NOW                        exit 0 when nothing is under way, else says what
//	runreport balance DIR SINCE ADDR             the summary; exit 1 when something does not balance
//
// BEFORE, PREVIOUS and NOW are files of `eactl status -o json`. DIR holds
// before.json, after.json, simulated.json, the ids of the events that must be
// stored, verify.json (`aggregator verify -o json`), and what the webhook receiver
// at ADDR counted and saw: received-{before,after}.{json,ids}. SINCE is when the
// run began, in seconds since 1970.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/scripts/runreport/report"
)

var (
	errUsage      = errors.New("usage: runreport line BEFORE PREVIOUS NOW SECONDS | drained NOW | balance DIR SINCE ADDR")
	errUnbalanced = errors.New("the ledger does not balance")
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 5 && args[0] == "line":
		return line(args[1:])
	case len(args) == 2 && args[0] == "drained":
		var now report.Status
		if err := read(args[1], &now); err != nil {
			return err
		}
		if left := now.Undrained(); len(left) > 0 {
			return errors.New(strings.Join(left, ", "))
		}
		return nil
	case len(args) == 4 && args[0] == "balance":
		return balance(args[1], args[2], args[3])
	}
	return errUsage
}

func line(args []string) error {
	var before, previous, now report.Status
	seconds, err := strconv.ParseFloat(args[3], 64)
	if err := errors.Join(err, read(args[0], &before), read(args[1], &previous), read(args[2], &now)); err != nil {
		return err
	}
	fmt.Println(report.Line(before, previous, now, seconds))
	return nil
}

func balance(dir, began, receiver string) error {
	seconds, err := strconv.ParseFloat(began, 64)
	if err != nil {
		return fmt.Errorf("SINCE: %w", err)
	}
	var r report.Run
	var ids []string
	if err := errors.Join(
		read(filepath.Join(dir, "before.json"), &r.Before),
		read(filepath.Join(dir, "after.json"), &r.After),
		read(filepath.Join(dir, "simulated.json"), &r.Simulated),
		read(filepath.Join(dir, "received-before.json"), &r.ReceivedBefore),
		read(filepath.Join(dir, "received-after.json"), &r.ReceivedAfter),
		words(filepath.Join(dir, "received-before.ids"), &r.ReceivedBefore.IDs),
		words(filepath.Join(dir, "received-after.ids"), &r.ReceivedAfter.IDs),
		words(filepath.Join(dir, "ids"), &ids),
		read(filepath.Join(dir, "verify.json"), &r.Recount),
	); err != nil {
		return err
	}
	// Stored times are in milliseconds, cut.
	if r.Ledger, err = readLedger(time.UnixMilli(int64(seconds*1000)), receiver, ids); err != nil {
		return err
	}
	ok, err := report.Write(os.Stdout, r.Balance())
	if err == nil && !ok {
		err = errUnbalanced
	}
	return err
}

func read(name string, into any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// words reads ids, a line each.
func words(name string, into *[]string) error {
	b, err := os.ReadFile(name)
	*into = strings.Fields(string(b))
	return err
}
