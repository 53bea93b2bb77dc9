// Package pending holds copies of format packages that are being written on
// other branches, so that this one builds by itself.
//
// TODO(integration): delete this folder and replace the import prefix
// wellcar.dev/internal/initrd/pending/ by wellcar.dev/internal/format/.
package pending
