module wellcar.dev

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/klauspost/compress v1.18.4
	github.com/therootcompany/xz v1.0.1
)
