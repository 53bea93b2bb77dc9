// Package daytwo changes a machine that runs from the config that it was
// made from to another one, without provisioning it again.
//
// Three things are compared: the config that was applied, the new one, and
// the machine (Diff). What differs between the configs is changed; what a
// person changed by hand since is left alone where the configs agree, and
// named as a conflict where they do not. Drift lists such changes by
// themselves. Both are functions of values: StateOf a plan, and the Facts
// that Gather reads from the machine.
//
// Apply writes a Journal with the old state of everything it is going to
// change before it changes the first thing, so that Undo restores it after
// whatever happened in between: a failure, a power cut, or a time in which
// nobody confirmed.
//
// Limits: the contents of a file without contents in the config, and of a
// resource fetched without a hash, are not compared with the machine's. A
// removed user keeps the home directory, and a home that a change moved is not
// moved back. Partitions and file systems are compared, and refused.
package daytwo
