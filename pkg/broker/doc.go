// Package broker is everything the product knows about AMQP: sessions that are
// replaced when they are lost, a Publisher with confirms, a Consumer whose
// handlers give verdicts, dead letters and the declaration of a topology. It is
// the only package that imports amqp091-go.
//
// The one rule that all of it serves: a message leaves its queue only after its
// consequence is confirmed. So a delivery is acked last, a retry or dead letter
// is published with a confirm before that ack, and a delivery belongs to the
// channel it came on for ever: a verdict that comes after its session was lost
// does nothing, since the broker has already given the message out again.
package broker
