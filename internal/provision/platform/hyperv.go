package platform

import (
	"context"
	"fmt"
)

// Sizes of a record in a pool file of Hyper-V's key-value daemon, in bytes
// (HV_KVP_EXCHANGE_MAX_KEY_SIZE and _VALUE_SIZE of linux/hyperv.h).
const (
	kvpKey   = 512
	kvpValue = 2048
)

// Pair is an entry of a pool.
type Pair struct{ Key, Value string }

// hyperv reads the pairs that the host sends. The config is one value, or
// several with numbered keys, as a value has at most 1 KiB in some tools.
type hyperv struct{}

// Fetch implements Source.
func (hyperv) Fetch(ctx context.Context, env Env) (Found, error) {
	const key = "ignition.config"
	found := Found{Name: "key " + key}
	if env.Pools == nil {
		return found, missing("channel of Hyper-V")
	}
	if err := env.load("hv_utils"); err != nil {
		return found, err
	}
	pools, err := env.Pools(ctx)
	if err != nil {
		return found, fmt.Errorf("reading the pairs of Hyper-V: %w", err)
	}
	found.Output = poolFiles(pools)
	values := map[string]string{}
	for _, p := range pools[0] {
		values[p.Key] = p.Value
	}
	if text, ok := values[key]; ok {
		found.Data = []byte(text)
		return found, nil
	}
	for i := 0; ; i++ {
		part, ok := values[fmt.Sprintf("%s.%d", key, i)]
		if !ok {
			return found, nil
		}
		found.Data = append(found.Data, part...)
	}
}

// poolFiles are the pools as the daemon keeps them; the host sends them once.
func poolFiles(pools map[int][]Pair) map[string][]byte {
	files := map[string][]byte{}
	for n, pairs := range pools {
		files[fmt.Sprintf("/var/lib/hyperv/.kvp_pool_%d", n)] = EncodePool(pairs)
	}
	return files
}

// EncodePool writes a pool file: records of a key and a value, both filled up
// with NULs. What is too long is cut before its last byte, which stays NUL.
func EncodePool(pairs []Pair) []byte {
	out := make([]byte, len(pairs)*(kvpKey+kvpValue))
	for i, p := range pairs {
		at := out[i*(kvpKey+kvpValue):]
		copy(at[:kvpKey-1], p.Key)
		copy(at[kvpKey:kvpKey+kvpValue-1], p.Value)
	}
	return out
}
