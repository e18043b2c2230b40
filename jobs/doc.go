// Package jobs declares every background job of the hub and runs them with
// River: the inspection and verification of new versions, the clean-up of
// abandoned uploads and deleted objects, and the search for verifications
// that lost their job.
//
// A job is enqueued in the transaction that causes it. It is idempotent: it
// may run again after a crash, on any node, and ends the same. What a job does
// is not known here but handed in as Services; no other package knows River.
package jobs
