// Package check holds the checks: what is looked at in a model, what that
// proves, and the evidence for it. Each group of checks has its files: the
// structure of the files, their safety, the truth of what they say, the
// tensors, the tokenizer, the run.
//
// Everything here parses bytes of strangers, so a hub runs it in a child
// process behind package sandbox. It knows nothing of hubs, jobs and
// databases; what it is told comes with the files.
package check
