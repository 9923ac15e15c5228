package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/mongo"
)

// ErrNotFound: no document has that id.
var ErrNotFound = errors.New("not found")

// ErrConflict: the document changed since it was read (a lost update), or its
// unique name is taken.
var ErrConflict = errors.New("conflict")

// Unreadable: a document is there, and nobody understands it: it was changed by
// hand, or written by a newer release. Trying again cannot help.
type Unreadable struct{ Err error }

func (e *Unreadable) Error() string { return "it cannot be decoded: " + e.Err.Error() }
func (e *Unreadable) Unwrap() error { return e.Err }

// Class is the error class of the dead letter.
func (e *Unreadable) Class() string { return "unreadable_document" }

// Duplicate: an event_id of the batch is stored already, so nothing of the
// batch was stored.
type Duplicate struct{ Err error }

func (e *Duplicate) Error() string { return "an event_id is stored already: " + e.Err.Error() }
func (e *Duplicate) Unwrap() error { return e.Err }

// Rejected: the database refuses one document of the batch, so nothing of the
// batch was stored. Index is the document's place, −1 when the server did not
// say.
type Rejected struct {
	Index int
	Err   error
}

func (e *Rejected) Error() string { return "MongoDB refuses the document: " + e.Err.Error() }
func (e *Rejected) Unwrap() error { return e.Err }

// Class is the error class of the dead letter.
func (e *Rejected) Class() string { return "database_rejected" }

// outage is every error that says nothing about the data: the server is away,
// is electing, is full, or does not let us in. Work that meets it is held and
// tried again, and no attempt is counted.
type outage struct{ err error }

func (e *outage) Error() string { return e.err.Error() }
func (e *outage) Unwrap() error { return e.err }

// Outage marks the error for pkg/broker's consumers.
func (e *outage) Outage() bool { return true }

// refusals are the server's codes that blame the document itself. All others
// count as an outage: a full disk must never turn events into dead letters.
var refusals = []int{
	2,     // BadValue
	9,     // FailedToParse
	14,    // TypeMismatch
	22,    // InvalidBSON
	52,    // DollarPrefixedFieldName
	121,   // DocumentValidationFailure
	10334, // BSONObjectTooLarge
	16755, // Can't extract geo keys
	17280, // KeyTooLong
	17419, // resulting document too large
}

// classify wraps an error of the driver: nil stays nil, an unknown document is
// ErrNotFound, and what is not about the data is an outage. The end of the
// caller's context passes as it is.
func classify(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mongo.ErrNoDocuments):
		return fmt.Errorf("%s: %w", doing, ErrNotFound)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound), isDuplicateKey(err), isRefusal(err):
		return fmt.Errorf("%s: %w", doing, err)
	}
	var unencodable mongo.MarshalError
	if errors.As(err, &unencodable) || errors.As(err, new(*Unreadable)) { // trying again cannot help
		return fmt.Errorf("%s: %w", doing, err)
	}
	var known interface{ Outage() bool }
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &outage{fmt.Errorf("%s: %w", doing, err)}
}

// matches asks a caller whether a document is the one that they mean to change.
func matches[T any](match func(T) error, doc T) error {
	if match == nil {
		return nil
	}
	return match(doc)
}

func isDuplicateKey(err error) bool { return mongo.IsDuplicateKeyError(err) }

// IsRefusal says that the server refuses a query for what is in it: it knows the
// language less well than pkg/rule does.
func IsRefusal(err error) bool { return errors.As(err, new(*refusedQuery)) || isRefusal(err) }

func isRefusal(err error) bool {
	var server mongo.ServerError
	if !errors.As(err, &server) || server.HasErrorLabel(transientTransaction) {
		return false
	}
	for _, code := range refusals {
		if server.HasErrorCode(code) {
			return true
		}
	}
	return false
}

// unexplained makes a duplicate key an outage that stays although majority reads
// show nothing that it could have met: a majority is away or behind, and the work
// is not to blame. A conflict on an index that somebody added stays an error that
// costs an attempt, since it may last for ever; others pass as they are.
func unexplained(doing string, err error) error {
	switch {
	case isDuplicateOf(err, "_id"):
		return &outage{fmt.Errorf("%s: no majority shows yet what this met: %w", doing, err)}
	case isDuplicateKey(err):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return err
}

// isDuplicateEvent says that an insert of events met an event_id that is stored,
// or an _id, which new ids mend. A conflict on an index that somebody added is
// the document's own fault.
func isDuplicateEvent(err error) bool { return isDuplicateOf(err, "event_id", "_id") }

// isDuplicateOf says that a write met the unique index of one of these fields
// alone, or of nobody knows what.
func isDuplicateOf(err error, fields ...string) bool {
	if !isDuplicateKey(err) {
		return false
	}
	var bulk mongo.BulkWriteException
	if !errors.As(err, &bulk) || len(bulk.WriteErrors) == 0 {
		return true
	}
	pattern, err := bulk.WriteErrors[0].Raw.LookupErr("keyPattern")
	if err != nil {
		return true
	}
	keys, _ := pattern.Document().Elements()
	return len(keys) == 1 && slices.Contains(fields, keys[0].Key())
}

// notTheDocument are codes that a server may give beside a document's place
// although the document is not to blame: a full disk or a failover must not
// turn events into dead letters.
var notTheDocument = []int{
	50,    // MaxTimeMSExpired
	91,    // ShutdownInProgress
	112,   // WriteConflict
	189,   // PrimarySteppedDown
	10107, // NotWritablePrimary
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	14031, // OutOfDiskSpace
}

// unreadable are codes of a whole insert that blame its bytes. Other refusals
// of the whole, such as BadValue, may be about the command or the server.
var unreadable = []int{22, 10334, 17419}

// blamesDocument says that the server refuses an insert for what a document
// holds.
func blamesDocument(err error) bool {
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) && len(bulk.WriteErrors) > 0 {
		return !slices.Contains(notTheDocument, bulk.WriteErrors[0].Code)
	}
	var command mongo.CommandError
	return errors.As(err, &command) && slices.Contains(unreadable, int(command.Code))
}

// writeErrorIndex is the place of the first document that a bulk write blames,
// −1 when it blames none.
func writeErrorIndex(err error) int {
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) && len(bulk.WriteErrors) > 0 {
		return bulk.WriteErrors[0].Index
	}
	return -1
}
