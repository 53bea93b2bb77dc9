// Package report is what a machine says of its provisioning and of a boot
// that failed: a bounded Report, the page that a console shows (Page), the
// JSON that survives into the next boot, and the text in a QR code that a
// person at a screen takes along (Code).
//
// The package is pure, and small enough for the initrd: it uses neither
// reflection nor the JSON package. A code is "W1:" and base45 (RFC 9285) of
// raw deflate (RFC 1951, with a preset dictionary) of the lines that Encode
// writes; QR codes are those of ISO/IEC 18004, alphanumeric mode.
//
//	r := report.Report{Failed: true, Sentence: "c.bu:5:13: cannot write file /x: ..."}
//	lines := report.Page(r, report.Screen{Width: 80})
//
// Limits: see Bound. A page is text for a terminal that knows UTF-8; of
// characters outside of ASCII it uses the three block elements that the
// kernel's own console font has.
package report
