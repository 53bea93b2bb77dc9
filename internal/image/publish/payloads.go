package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"wellcar.dev/internal/image/payload"
	"wellcar.dev/internal/release"
)

// deltas makes a payload from each older release, if it differs.
func (m *maker) deltas(ctx context.Context) error {
	done := map[string]bool{m.build.record.RootHash: true}
	for _, dir := range m.From {
		old, err := openBuild(dir)
		if err != nil {
			return err
		}
		if !done[old.record.RootHash] {
			err = m.delta(ctx, old)
		}
		done[old.record.RootHash] = true
		old.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) delta(ctx context.Context, old *build) error {
	name := fmt.Sprintf("delta-%s-%s.wellcar", old.record.Version, old.record.RootHash[:8])
	f, err := os.Create(m.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	stats, err := payload.Delta(ctx, old.image, m.build.image, f, m.options())
	if err != nil {
		return err
	}
	return m.addPayload(release.Payload{Kind: release.Delta, FromVersion: old.record.Version, FromRootHash: old.record.RootHash}, f, stats.Head)
}

func (m *maker) full(ctx context.Context) error {
	f, err := os.Create(m.path(FullFile))
	if err != nil {
		return err
	}
	defer f.Close()
	index, err := os.Create(m.path(IndexFile))
	if err != nil {
		return err
	}
	defer index.Close()
	stats, err := payload.Full(ctx, m.build.image, f, index, m.options())
	if err != nil {
		return err
	}
	if err := m.addPayload(release.Payload{Kind: release.Full}, f, stats.Head); err != nil {
		return err
	}
	info, err := index.Stat()
	if err != nil {
		return err
	}
	return m.addPayload(release.Payload{Kind: release.Index}, index, info.Size())
}

// addPayload lists a payload whose file is written.
func (m *maker) addPayload(p release.Payload, f *os.File, head int64) error {
	file, err := m.sum(filepath.Base(f.Name()))
	if err != nil {
		return err
	}
	data := make([]byte, head)
	if _, err := f.ReadAt(data, 0); err != nil {
		return err
	}
	p.File = file
	check := sha256.Sum256(data)
	p.HeadSize, p.HeadHash = head, hex.EncodeToString(check[:])
	m.payloads = append(m.payloads, p)
	return nil
}
