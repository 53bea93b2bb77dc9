// Package server hands a release to the machines that ask for it, by Omaha,
// and serves the files of the release folder (updates.md section 1).
//
// Three parts stay apart: the protocol is package omaha; the decision is
// Decide, a function of what a machine says and what there is; Handler is
// HTTP around both. It keeps nothing: what machines report goes to the log.
//
// Machines prove the release themselves, so nothing here is secret or trusted.
//
// Limits: one release, no groups, no rollout policy.
package server
