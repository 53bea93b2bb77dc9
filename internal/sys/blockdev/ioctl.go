//go:build linux

package blockdev

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blkpgIoctlArg and blkpgPartition are the structures of linux/blkpg.h.
type blkpgIoctlArg struct {
	op      int32
	flags   int32
	datalen int32
	data    *blkpgPartition
}

type blkpgPartition struct {
	start   int64 // bytes
	length  int64 // bytes
	pno     int32
	devname [64]byte // ignored by the kernel
	volname [64]byte // ignored by the kernel
}

// Operations of BLKPG.
const (
	blkpgAddPartition    = 1
	blkpgDeletePartition = 2
	blkpgResizePartition = 3
)

// AddPartition tells the kernel of a partition, whose node it makes then. It
// changes nothing on the disk. Start and length are in bytes.
func AddPartition(disk string, number int, start, length int64) error {
	if err := blkpg(disk, blkpgAddPartition, number, start, length); err != nil {
		return fmt.Errorf("making partition %d of %s known: %w", number, disk, err)
	}
	return nil
}

// DeletePartition makes the kernel forget a partition that is not in use. It
// changes nothing on the disk.
func DeletePartition(disk string, number int) error {
	if err := blkpg(disk, blkpgDeletePartition, number, 0, 0); err != nil {
		return fmt.Errorf("forgetting partition %d of %s: %w", number, disk, err)
	}
	return nil
}

// ResizePartition tells the kernel the new size of a partition, which may be
// in use. It changes nothing on the disk. Start and length are in bytes.
func ResizePartition(disk string, number int, start, length int64) error {
	if err := blkpg(disk, blkpgResizePartition, number, start, length); err != nil {
		return fmt.Errorf("resizing partition %d of %s to %d bytes: %w", number, disk, length, err)
	}
	return nil
}

func blkpg(disk string, op int32, number int, start, length int64) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	part := &blkpgPartition{start: start, length: length, pno: int32(number)}
	arg := blkpgIoctlArg{op: op, datalen: int32(unsafe.Sizeof(*part)), data: part}
	return ioctl(f, unix.BLKPG, unsafe.Pointer(&arg))
}

// ReadPartitions makes the kernel read the table of a disk again. It fails
// while a partition is in use.
func ReadPartitions(disk string) error {
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("reading the partitions of %s again: %w", disk, err)
	}
	defer f.Close()
	if err := ioctl(f, unix.BLKRRPART, nil); err != nil {
		return fmt.Errorf("reading the partitions of %s again: %w", disk, err)
	}
	return nil
}

// ext4IocResizeFS is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64) (fs/ext4/ext4.h).
const ext4IocResizeFS = 0x40086610

// GrowExt4 grows a mounted ext4 to the given size in bytes. It does nothing
// when the file system has that size already.
func GrowExt4(mountPoint string, size int64) error {
	f, err := os.Open(mountPoint)
	if err != nil {
		return fmt.Errorf("growing the file system on %s: %w", mountPoint, err)
	}
	defer f.Close()
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &sfs); err != nil {
		return fmt.Errorf("growing the file system on %s: %w", mountPoint, err)
	}
	blocks := uint64(size / sfs.Bsize)
	if err := ioctl(f, ext4IocResizeFS, unsafe.Pointer(&blocks)); err != nil {
		return fmt.Errorf("growing the file system on %s to %d bytes: %w", mountPoint, size, err)
	}
	return nil
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
