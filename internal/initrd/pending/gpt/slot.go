package gpt

// SlotState is the boot state that a /usr partition carries in its
// attributes: bits 48 to 51, 52 to 55 and 56. A boot loader of that scheme
// starts the slot of the highest priority that is successful or has tries left.
type SlotState struct {
	Priority   int // 0 (never) to 15 (first)
	Tries      int // 0 to 15 starts left
	Successful bool
}

const (
	priorityShift   = 48
	triesShift      = 52
	successfulShift = 56
)

// Slot reads the state from an attribute word.
func Slot(attrs uint64) SlotState {
	return SlotState{
		Priority:   int(attrs >> priorityShift & 15),
		Tries:      int(attrs >> triesShift & 15),
		Successful: attrs>>successfulShift&1 == 1,
	}
}

// WithSlot returns the attribute word with the state put in; all other bits
// stay. Priority and tries beyond 0 to 15 are cut to that range.
func WithSlot(attrs uint64, s SlotState) uint64 {
	attrs &^= 0x1ff << priorityShift
	attrs |= uint64(max(0, min(15, s.Priority))) << priorityShift
	attrs |= uint64(max(0, min(15, s.Tries))) << triesShift
	if s.Successful {
		attrs |= 1 << successfulShift
	}
	return attrs
}
