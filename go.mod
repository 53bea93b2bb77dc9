module wellcar.dev

go 1.26.0

require (
	github.com/ProtonMail/go-crypto v1.3.0
	github.com/google/go-cmp v0.7.0
	github.com/klauspost/compress v1.18.4
	github.com/knqyf263/go-deb-version v0.0.0-20241115132648-6f4aee6ccd23
	github.com/therootcompany/xz v1.0.1
	golang.org/x/sync v0.24.0
)

require (
	github.com/kr/pretty v0.3.1 // indirect
	gopkg.in/check.v1 v1.0.0-20190902080502-41f04d3bba15 // indirect
)

require (
	github.com/cloudflare/circl v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0
	gopkg.in/yaml.v3 v3.0.1
)
