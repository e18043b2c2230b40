// Package audit is the log of what was done to the hub: its events, the chain
// of hashes that holds its entries together, and the check of that chain. It
// counts what happens often and is no change (sign-ins, refused pulls) before
// it is written.
//
// It knows no database and no HTTP. storage/sqlstore writes the events of a
// change in the transaction that makes it.
package audit
