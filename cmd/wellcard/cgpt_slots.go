//go:build linux

package main

import (
	"wellcar.dev/internal/format/gpt"
	"wellcar.dev/internal/slot"
	"wellcar.dev/internal/update"
	"wellcar.dev/internal/update/cgpt"
)

// bootSlots is the boot loader's state as cgpt sees it.
type bootSlots struct {
	boot  update.Boot
	ids   map[int]slot.ID
	state slot.State
}

// runningSlots is nil unless the machine runs from the disk.
func runningSlots(disk string) cgpt.Slots {
	b := &bootSlots{boot: update.Boot{ESP: update.ESP{Dir: "/boot"}, Root: "/"}, ids: map[int]slot.ID{}}
	parts, _, err := b.boot.Devices()
	if err != nil {
		return nil
	}
	for id, d := range parts {
		if "/dev/"+d.Disk == disk {
			b.ids[d.Partition] = id
		}
	}
	if len(b.ids) == 0 || b.read() != nil {
		return nil
	}
	return b
}

func (b *bootSlots) read() (err error) {
	b.state, err = b.boot.State()
	return err
}

// State is for cgpt.Slots.
func (b *bootSlots) State(number int) (gpt.SlotState, bool) {
	id, ok := b.ids[number]
	v := b.boot.View(b.state, id)
	return gpt.SlotState{Priority: v.Priority, Tries: v.Tries, Successful: v.Successful}, ok
}

// Set is for cgpt.Slots.
func (b *bootSlots) Set(number int, tries *int, successful *bool) error {
	changes, err := slot.Set(b.state, b.ids[number], tries, successful, update.KeyOf)
	return b.do(changes, err)
}

// Prioritize is for cgpt.Slots.
func (b *bootSlots) Prioritize(number int) error {
	if err := b.boot.Prioritize(b.state, b.ids[number]); err != nil {
		return err
	}
	return b.read()
}

func (b *bootSlots) do(changes []slot.Change, err error) error {
	if err != nil {
		return err
	}
	if err := b.boot.ESP.Do(changes); err != nil {
		return err
	}
	return b.read()
}
