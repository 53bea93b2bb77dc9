// Package journal sends entries with fields to systemd's journal, in its
// native protocol: one datagram for each entry.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
)

// Socket is where the journal listens.
const Socket = "/run/systemd/journal/socket"

// Field is a name in capitals and a value.
type Field struct{ Name, Value string }

// Log is a connection to the journal.
type Log struct {
	conn *net.UnixConn
	tag  string
}

// Dial connects to a socket. Entries carry tag as SYSLOG_IDENTIFIER.
func Dial(socket, tag string) (*Log, error) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connecting to the journal: %w", err)
	}
	return &Log{conn, tag}, nil
}

// Close ends the connection.
func (l *Log) Close() error { return l.conn.Close() }

// Send sends an entry. Priority is that of syslog(3), 0 to 7.
func (l *Log) Send(priority int, message string, fields ...Field) error {
	all := append([]Field{
		{"PRIORITY", fmt.Sprint(priority)}, {"SYSLOG_IDENTIFIER", l.tag},
		{"SYSLOG_PID", fmt.Sprint(os.Getpid())}, {"MESSAGE", message},
	}, fields...)
	if _, err := l.conn.Write(encode(all)); err != nil {
		return fmt.Errorf("writing to the journal: %w", err)
	}
	return nil
}

// encode writes NAME=VALUE lines; a value of several lines has its length in
// front instead.
func encode(fields []Field) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f.Name)
		if strings.Contains(f.Value, "\n") {
			b.WriteByte('\n')
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(f.Value))))
		} else {
			b.WriteByte('=')
		}
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
