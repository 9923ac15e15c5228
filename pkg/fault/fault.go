// Package fault names the instants at which a process can die between two
// steps of the pipeline. A normal build compiles At to nothing; a build with
// the tag `faultpoints` lets EA_FAULT kill or pause the process exactly there,
// which is how test/process proves that each of these instants is survivable.
package fault

// Point is one instant between two steps of a process.
type Point string

// The instants, in the order in which a unit of work passes them.
const (
	IngesterInserting Point = "ingester.inserting" // the batch is written, its transaction is open
	IngesterInserted  Point = "ingester.inserted"  // the batch is committed, nothing is published
	IngesterPublished Point = "ingester.published" // ea.stored is confirmed, published_at is not set
	IngesterMarked    Point = "ingester.marked"    // published_at is set, the events are not acked
	IngesterSweeping  Point = "ingester.sweeping"  // the sweep has read abandoned batches, nothing is published

	RuleWorkerDeciding     Point = "rule-worker.deciding"      // the decision is written, its transaction is open
	RuleWorkerDecided      Point = "rule-worker.decided"       // the decision is committed, no action is published
	RuleWorkerPublished    Point = "rule-worker.published"     // actions are confirmed, actions_published_at is not set
	RuleWorkerMarked       Point = "rule-worker.marked"        // actions_published_at is set, the batch is not acked
	RuleWorkerGroupFlushed Point = "rule-worker.group-flushed" // a group's notification is committed, no action is published
	RuleWorkerSweeping     Point = "rule-worker.sweeping"      // the sweep has read an abandoned batch, no action is published
	RuleWorkerAnnounced    Point = "rule-worker.announced"     // an event about a rule is confirmed, and still waits to be published

	RuleWorkerWindowEvaluated Point = "rule-worker.window-evaluated" // a due window has alerts, nothing is committed
	RuleWorkerWindowDecided   Point = "rule-worker.window-decided"   // a due window's alerts are committed, none is published
	RuleWorkerWindowPublished Point = "rule-worker.window-published" // its alerts are confirmed, and not marked as published

	RuleWorkerReplaying       Point = "rule-worker.replaying"        // a page of a replay is written, its transaction is open
	RuleWorkerReplayed        Point = "rule-worker.replayed"         // a page of a replay is committed, no action is published
	RuleWorkerReplayPublished Point = "rule-worker.replay-published" // its actions are confirmed, and not marked as published

	DispatcherClaimed  Point = "dispatcher.claimed"  // the notification is claimed, nobody is called
	DispatcherCalled   Point = "dispatcher.called"   // the endpoint has answered, the attempt is not recorded
	DispatcherRecorded Point = "dispatcher.recorded" // the attempt is recorded, its consequence is not published
	DispatcherSettled  Point = "dispatcher.settled"  // the consequence is confirmed, the message is not acked
	DispatcherDisabled Point = "dispatcher.disabled" // an endpoint that is gone is disabled, its outcome event is not published

	DispatcherOpened  Point = "dispatcher.opened"  // a breaker is open for all, the attempt that opened it is not recorded
	DispatcherProbing Point = "dispatcher.probing" // an open breaker is taken for a probe, nobody is called
	DispatcherProbed  Point = "dispatcher.probed"  // the probe has succeeded, the breaker is not closed
	DispatcherClosed  Point = "dispatcher.closed"  // the breaker is closed for all, the probe's attempt is not recorded

	AggregatorCounting      Point = "aggregator.counting"      // the counts are written, their transaction is open
	AggregatorCounted       Point = "aggregator.counted"       // the counts are committed, the batches are not acked
	AggregatorRecorded      Point = "aggregator.recorded"      // dead letters are recorded, their copies are not acked
	AggregatorMaterialising Point = "aggregator.materialising" // changed windows are listed, their metrics are not made

	DeadLetterPublished Point = "dead-letter.published" // a replay is confirmed, the dead letters are not acked
	DeadLetterCanary    Point = "dead-letter.canary"    // the canary is replayed, its fate is not known

	SecretsRenewing Point = "secrets.renewing" // stored secrets are read and encrypted anew, and not written

	TrialStored     Point = "trial.stored"     // a trial is stored, its order is not published
	RedeliveryAsked Point = "redelivery.asked" // a notification is to be made again, its order is not published
	CancelAsked     Point = "cancel.asked"     // a notification is cancelled, its outcome event is not published
)

// Points lists them all; test/process has a spec for each.
var Points = []Point{
	IngesterInserting, IngesterInserted, IngesterPublished, IngesterMarked, IngesterSweeping,
	RuleWorkerDeciding, RuleWorkerDecided, RuleWorkerPublished, RuleWorkerMarked, RuleWorkerSweeping, RuleWorkerAnnounced, RuleWorkerGroupFlushed,
	RuleWorkerWindowEvaluated, RuleWorkerWindowDecided, RuleWorkerWindowPublished,
	RuleWorkerReplaying, RuleWorkerReplayed, RuleWorkerReplayPublished,
	DispatcherClaimed, DispatcherCalled, DispatcherRecorded, DispatcherSettled, DispatcherDisabled,
	DispatcherOpened, DispatcherProbing, DispatcherProbed, DispatcherClosed,
	AggregatorCounting, AggregatorCounted, AggregatorRecorded, AggregatorMaterialising,
	DeadLetterPublished, DeadLetterCanary,
	SecretsRenewing, TrialStored, RedeliveryAsked, CancelAsked,
}
