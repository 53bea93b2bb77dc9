//go:build linux

// Package health decides whether a system that was just updated may stay: by
// the checks that the machine's owner declared in /etc/wellcar/health.d, or by
// a default where there are none.
//
//	deadline: 3m
//	checks:
//	  - units: [web.service]
//	  - tcp: 127.0.0.1:80
//	  - http: {url: "http://127.0.0.1/", status: 200, body: "Welcome"}
//	  - command: [/opt/bin/ready, --quick]
//	  - container: web
//
// Every check has to hold by the deadline of its file; it is tried again until
// then, or as often as its retries say. When all have held, all are tried once
// more: what came up and went down again is not healthy.
package health
