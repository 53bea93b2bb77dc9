// Package unitfile reads the texts of systemd units and of network units:
// sections, and assignments with the lines that they stand on. The syntax is
// that of systemd.syntax(7),
// https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html.
//
//	for _, a := range unitfile.Parse(text).Assignments { fmt.Println(a.Section, a.Name, a.Value) }
package unitfile
