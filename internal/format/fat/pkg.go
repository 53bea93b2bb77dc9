// Package fat writes and reads FAT file systems with long names, as EFI
// system partitions use them (Microsoft, "FAT32 File System Specification"
// 1.03: boot sector 3, FAT 4, FSInfo 5, directories 6, long names 7).
//
// The writer fills an empty area in one pass: files and directories lie one
// behind the other without fragments, free clusters are never touched, and
// equal trees give equal bytes. The reader follows any chain.
//
// Limits: FAT16 below 36 MiB, FAT32 above; no FAT12, so at least 5 MiB.
// Names are Unicode; owners, modes and hard links are not kept (each name of a
// hard link gets its own copy).
package fat

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// Attributes of a directory entry.
const (
	attrReadOnly = 0x01
	attrHidden   = 0x02
	attrSystem   = 0x04
	attrLabel    = 0x08
	attrDir      = 0x10
	attrArchive  = 0x20
	attrLong     = attrReadOnly | attrHidden | attrSystem | attrLabel
)

const (
	entrySize    = 32 // bytes of a directory entry
	media        = 0xf8
	maxFAT12     = 4085  // fewer clusters than this mean FAT12
	maxFAT16     = 65525 // fewer clusters than this mean FAT16
	maxFileSize  = 1<<32 - 1
	maxDirBytes  = 65536 * entrySize
	fat16Root    = 512 // entries of the fixed root directory
	margin       = 16  // clusters kept away from the limits above
	endOfChain32 = 0x0fffffff
	endOfChain16 = 0xffff
)

// geometry is where the parts of a file system are. Units are sectors unless
// they say otherwise.
type geometry struct {
	bits         int // 16 or 32
	sector       int64
	perCluster   int64
	reserved     int64
	fats         int64
	fatSize      int64
	rootEntries  int64 // FAT16: of the root directory
	total        int64
	dataStart    int64
	clusters     int64 // numbered from 2
	rootCluster  uint32
	infoSector   int64
	backupSector int64
}

func (g geometry) clusterSize() int64 { return g.perCluster * g.sector }

// rootAt is the byte offset of the fixed root directory of FAT16.
func (g geometry) rootAt() int64 { return (g.reserved + g.fats*g.fatSize) * g.sector }

// clusterAt is the byte offset of a cluster.
func (g geometry) clusterAt(n uint32) int64 {
	return (g.dataStart + (int64(n)-2)*g.perCluster) * g.sector
}

func (g geometry) valid(cluster uint32) bool {
	return cluster >= 2 && int64(cluster) < g.clusters+2
}

// plan chooses the geometry for a size in bytes.
func plan(size int64, sector int) (geometry, error) {
	if sector == 0 {
		sector = 512
	}
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return geometry{}, fmt.Errorf("sector size %d is not 512, 1024, 2048 or 4096", sector)
	}
	g := geometry{sector: int64(sector), fats: 2, total: size / int64(sector)}
	if g.total > 1<<32-1 {
		return geometry{}, fmt.Errorf("%d bytes are too many", size)
	}
	biggest := int64(4096)
	for limit := int64(8 << 30); size > limit && biggest < 32768; limit *= 2 {
		biggest *= 2
	}
	for _, bits := range []int{32, 16} {
		for cluster := biggest; cluster >= g.sector; cluster /= 2 {
			c := g.with(bits, cluster/g.sector)
			if bits == 32 && c.clusters >= maxFAT16+margin || bits == 16 && c.clusters >= maxFAT12+margin && c.clusters < maxFAT16-margin {
				return c, nil
			}
		}
	}
	return geometry{}, fmt.Errorf("%d bytes are too few", size)
}

// with computes the rest for a kind and cluster size. The data area starts at
// a multiple of the cluster size.
func (g geometry) with(bits int, perCluster int64) geometry {
	g.bits, g.perCluster = bits, perCluster
	minReserved, rootSectors := int64(1), int64(fat16Root*entrySize)/g.sector
	if bits == 32 {
		minReserved, rootSectors = 32, 0
		g.rootCluster, g.infoSector, g.backupSector = 2, 1, 6
	} else {
		g.rootEntries = fat16Root
	}
	entry := int64(bits / 8)
	most := (g.total-minReserved-rootSectors)/perCluster + 2
	g.fatSize = (most*entry + g.sector - 1) / g.sector
	start := minReserved + g.fats*g.fatSize + rootSectors
	g.dataStart = (start + perCluster - 1) / perCluster * perCluster
	g.reserved = minReserved + g.dataStart - start
	g.clusters = (g.total - g.dataStart) / perCluster
	return g
}
