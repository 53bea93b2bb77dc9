package cloudinit

import (
	"regexp"
	"strings"
)

// shape is what a key may hold.
type shape struct {
	kind       kind
	fields     map[string]*shape // of a mapping
	items      *shape            // of a list
	valid      *regexp.Regexp    // of a text, as written; nil: any
	choices    string            // valid in words
	deprecated string            // why the key should not be used any more
	instead    string            // what to do then
}

type kind string

const (
	text    kind = "text"
	number  kind = "a number"
	boolean kind = "true or false"
	list    kind = "a list"
	mapping kind = "a mapping"
)

func fields(names string, of kind) map[string]*shape {
	m := map[string]*shape{}
	for name := range strings.FieldsSeq(names) {
		m[name] = &shape{kind: of}
	}
	return m
}

// with adds fields to a map.
func with(m map[string]*shape, more map[string]*shape) map[string]*shape {
	for name, s := range more {
		m[name] = s
	}
	return m
}

func choice(words ...string) *shape {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = regexp.QuoteMeta(w)
	}
	return &shape{
		kind: text, choices: strings.Join(words, ", "),
		valid: regexp.MustCompile("^(" + strings.Join(quoted, "|") + ")$"),
	}
}

func pattern(expr, words string) *shape {
	return &shape{kind: text, valid: regexp.MustCompile(expr), choices: words}
}

func listOf(s *shape) *shape { return &shape{kind: list, items: s} }

const (
	remoteKeys = "keys from a web site make booting depend on it"
	listKeys   = "list them under ssh_authorized_keys"
	gone       = "the program is not part of the system any more"
	drop       = "drop it, or bring the program as a container"
)

// root is a whole cloud-config.
var root = &shape{kind: mapping, fields: map[string]*shape{
	"hostname":            {kind: text},
	"manage_etc_hosts":    choice("localhost"),
	"ssh_authorized_keys": listOf(&shape{kind: text}),
	"users":               listOf(userShape()),
	"write_files":         listOf(fileShape()),
	"coreos":              {kind: mapping, fields: coreosFields()},
}}

func userShape() *shape {
	f := with(fields("name passwd gecos homedir primary_group shell", text), fields("no_create_home no_user_group system no_log_init", boolean))
	f["groups"], f["ssh_authorized_keys"] = listOf(&shape{kind: text}), listOf(&shape{kind: text})
	f["coreos_ssh_import_github"] = &shape{kind: text, deprecated: remoteKeys, instead: listKeys}
	f["coreos_ssh_import_url"] = &shape{kind: text, deprecated: remoteKeys, instead: listKeys}
	f["coreos_ssh_import_github_users"] = &shape{kind: list, items: &shape{kind: text}, deprecated: remoteKeys, instead: listKeys}
	return &shape{kind: mapping, fields: f}
}

func fileShape() *shape {
	f := fields("path content owner", text)
	f["encoding"] = choice(encodings...)
	f["permissions"] = pattern(`^0?[0-7]{3,4}$`, "octal digits, such as 0644")
	return &shape{kind: mapping, fields: f}
}

func coreosFields() map[string]*shape {
	unit := with(fields("name content", text), fields("mask enable runtime", boolean))
	unit["command"] = choice("start", "stop", "restart", "reload", "try-restart", "reload-or-restart", "reload-or-try-restart")
	unit["drop_ins"] = listOf(&shape{kind: mapping, fields: fields("name content", text)})
	update := fields("group server", text)
	update["reboot_strategy"] = choice("reboot", "etcd-lock", "off", "best-effort")
	locksmith := fields("endpoint etcd_cafile etcd_certfile etcd_keyfile etcd_username etcd_password group", text)
	locksmith["window_start"] = pattern(`^((?i:sun|mon|tue|wed|thu|fri|sat) )?0*([0-9]|1[0-9]|2[0-3]):0*([0-9]|[1-5][0-9])$`, "HH:MM or Thu HH:MM")
	locksmith["window_length"] = pattern(`^[-+]?([0-9]*(\.[0-9]*)?[a-z]+)+$`, "a duration, such as 1h30m")
	return map[string]*shape{
		"units":     listOf(&shape{kind: mapping, fields: unit}),
		"update":    {kind: mapping, fields: update},
		"oem":       {kind: mapping, fields: fields("id name version_id home_url bug_report_url", text)},
		"locksmith": {kind: mapping, fields: locksmith},
		"flannel":   {kind: mapping, fields: fields("etcd_endpoints etcd_cafile etcd_certfile etcd_keyfile etcd_prefix etcd_username etcd_password ip_masq subnet_file interface public_ip", text)},
		"etcd":      {kind: mapping, fields: etcdFields(), deprecated: gone, instead: drop},
		"etcd2":     {kind: mapping, fields: etcd2Fields(), deprecated: gone, instead: drop},
		"fleet":     {kind: mapping, fields: fleetFields(), deprecated: gone, instead: drop},
	}
}

func etcdFields() map[string]*shape {
	return with(with(
		fields(`addr advertise_client_urls bind_addr ca_file cert_file cors data_dir discovery discovery_fallback discovery_srv
			discovery_proxy graphite_host initial_advertise_peer_urls initial_cluster initial_cluster_state initial_cluster_token
			key_file listen_client_urls listen_peer_urls name peer_addr peer_bind_addr peer_ca_file peer_cert_file peer_key_file
			peers peers_file proxy trace`, text),
		fields(`cluster_active_size cluster_remove_delay cluster_sync_interval election_timeout heartbeat_interval http_read_timeout
			http_write_timeout max_result_buffer max_retry_attempts max_snapshots max_wals peer_election_timeout
			peer_heartbeat_interval retry_interval snapshot_count`, number)),
		fields("force_new_cluster snapshot verbose very_verbose very_very_verbose", boolean))
}

func etcd2Fields() map[string]*shape {
	f := with(with(
		fields(`advertise_client_urls ca_file cert_file cors data_dir discovery discovery_fallback discovery_srv discovery_proxy
			initial_advertise_peer_urls initial_cluster initial_cluster_state initial_cluster_token key_file listen_client_urls
			listen_peer_urls log_package_levels name peer_ca_file peer_cert_file peer_key_file peer_trusted_ca_file
			trusted_ca_file wal_dir`, text),
		fields(`election_timeout heartbeat_interval max_snapshots max_wals proxy_dial_timeout proxy_failure_wait proxy_read_timeout
			proxy_refresh_interval proxy_write_timeout snapshot_count`, number)),
		fields("client_cert_auth debug enable_pprof force_new_cluster peer_client_cert_auth strict_reconfig_check", boolean))
	f["proxy"] = choice("on", "off", "readonly")
	return f
}

func fleetFields() map[string]*shape {
	return with(with(
		fields(`agent_ttl authorized_keys_file etcd_cafile etcd_certfile etcd_keyfile etcd_key_prefix etcd_servers etcd_username
			etcd_password metadata public_ip`, text),
		fields("engine_reconcile_interval etcd_request_timeout token_limit verbosity", number)),
		fields("disable_engine verify_units", boolean))
}
