package squeeze

import "encoding/binary"

// quick finds one match at some places, of what comes first.
type quick struct {
	far   []repeat
	table []uint32 // the last place with a hash of six bytes, + 1
	run   match
}

const quickLog = 17

func newQuick(far []repeat) *quick { return &quick{far: far, table: make([]uint32, 1<<quickLog)} }

func (q *quick) segment(t *text, at, end int64, out *found) {
	out.open(t, at, end)
	out.greedy = true
	missed := int64(0)
	for p := at; p < end; {
		if q.run.size == 0 {
			q.run = q.find(t, p, end)
		}
		n := min(int64(q.run.size), end-p)
		if n == 0 {
			missed++
			n = min(1+missed>>6, end-p)
			out.none(int(n))
			p += n
			continue
		}
		missed = 0
		out.list = append(out.list, q.run)
		out.none(int(n))
		p += n
		q.run.size -= uint32(n)
	}
}

func (q *quick) find(t *text, p, end int64) match {
	if m := next(&q.far, p); m.size > 0 {
		return m
	}
	cur := t.data[p-t.start : end-t.start]
	if len(cur) < 8 {
		return match{}
	}
	slot := &q.table[binary.LittleEndian.Uint64(cur)<<16*0x9e3779b97f4a7c15>>(64-quickLog)]
	before := int64(*slot) - 1
	*slot = uint32(p + 1)
	if before < t.start || p-before >= window {
		return match{}
	}
	if n := same(cur, t.data[before-t.start:]); n >= 5 {
		return match{uint32(n), uint32(p - before)}
	}
	return match{}
}
