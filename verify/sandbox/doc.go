// Package sandbox runs a piece of this very program on bytes that nobody trusts, in a child process that can do nothing but
// compute: it has no files but those it is handed, no network, no other processes, no secrets, and bounds on memory, time and
// what it may say.
//
// A program that wants to start children calls Main first thing in main (and tests that do, in TestMain) with the tasks that a
// child may run. Run then executes the same binary again, restricts it, measures in the child which layers hold, and only when
// the level that the caller requires was reached is the child given its input. What the child sends is opaque bytes, bounded in
// size and number; a caller decodes them as it would decode what comes from the network.
//
// The layers, each of which holds when the others fail: a fixed environment and only the descriptors that belong to the task;
// namespaces for users, processes, network, IPC, mounts and host name, and an unprivileged user; resource limits, no_new_privs,
// landlock without any rule and a seccomp filter that allows what Go's runtime needs; and the parent, which watches memory,
// processor time and the clock and kills. Outside Linux there are no layers, and Run says so.
//
// The package knows nothing of models, checks or reports, and imports nothing of ours.
package sandbox
