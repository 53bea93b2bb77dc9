# make run: build the image, boot it, wait until its container answers.
# make test: the tests. Both need only Go, make, git and a network.
export CGO_ENABLED = 0
export GOFLAGS = -trimpath -buildvcs=false
LDFLAGS = -ldflags="-s -w -buildid="

.PHONY: build run test test-more bench clean

build:
	go build $(LDFLAGS) -o bin/ ./cmd/...

run: build
	bin/wellcar run examples/hello.bu $(ARGS)

test: build
	go run ./test/all

# Tests in modules of their own; see docs/architecture.md.
test-more:
	for m in kube nebraska terraform; do go -C test/$$m test -timeout 60m ./... || exit; done

# Measures against mkosi; see docs/benchmarks.md.
bench: build
	go run ./bench $(ARGS)

clean:
	rm -rf bin out
