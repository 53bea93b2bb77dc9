# make run: build the image, boot it, wait until its container answers.
# make test: every test. Both need only Go, make, git and a network.
export CGO_ENABLED = 0
export GOFLAGS = -trimpath -buildvcs=false
LDFLAGS = -ldflags="-s -w -buildid="

.PHONY: build run test bench clean

build:
	go build $(LDFLAGS) -o bin/ ./cmd/...

run: build
	bin/wellcar run examples/hello.bu $(ARGS)

test: build
	go run ./test/all

# Measures against mkosi; see docs/benchmarks.md.
bench: build
	go run ./bench $(ARGS)

clean:
	rm -rf bin out
