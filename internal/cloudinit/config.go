package cloudinit

// Config is one cloud-config. Zero values mean that the key is not set.
type Config struct {
	Hostname          string   `yaml:"hostname"`
	SSHAuthorizedKeys []string `yaml:"ssh_authorized_keys"`
	Users             []User   `yaml:"users"`
	WriteFiles        []File   `yaml:"write_files"`
	ManageEtcHosts    string   `yaml:"manage_etc_hosts"` // "localhost"
	CoreOS            CoreOS   `yaml:"coreos"`
}

// User is an account to make, or to give keys and a password.
type User struct {
	Name              string   `yaml:"name"`
	Passwd            string   `yaml:"passwd"` // hash
	SSHAuthorizedKeys []string `yaml:"ssh_authorized_keys"`
	GitHubUser        string   `yaml:"coreos_ssh_import_github"`
	GitHubUsers       []string `yaml:"coreos_ssh_import_github_users"`
	KeysURL           string   `yaml:"coreos_ssh_import_url"`
	Gecos             string   `yaml:"gecos"`
	Homedir           string   `yaml:"homedir"`
	NoCreateHome      bool     `yaml:"no_create_home"`
	PrimaryGroup      string   `yaml:"primary_group"`
	Groups            []string `yaml:"groups"`
	NoUserGroup       bool     `yaml:"no_user_group"`
	System            bool     `yaml:"system"`
	NoLogInit         bool     `yaml:"no_log_init"`
	Shell             string   `yaml:"shell"`
}

// File is a file to write. Content is decoded when the text has been parsed.
type File struct {
	Path        string `yaml:"path"`
	Content     string `yaml:"content"`
	Encoding    string `yaml:"encoding"`
	Owner       string `yaml:"owner"`       // USER or USER:GROUP, as chown takes it
	Permissions string `yaml:"permissions"` // octal; "": 0644
}

// CoreOS is what is peculiar to this family of systems.
type CoreOS struct {
	Units     []Unit            `yaml:"units"`
	Update    Update            `yaml:"update"`
	OEM       OEM               `yaml:"oem"`
	Etcd      map[string]string `yaml:"etcd"`
	Etcd2     map[string]string `yaml:"etcd2"`
	Fleet     map[string]string `yaml:"fleet"`
	Flannel   map[string]string `yaml:"flannel"`
	Locksmith map[string]string `yaml:"locksmith"`
}

// Unit is a systemd or networkd unit.
type Unit struct {
	Name    string   `yaml:"name"`
	Mask    bool     `yaml:"mask"`
	Enable  bool     `yaml:"enable"`
	Runtime bool     `yaml:"runtime"` // lasts until the next boot
	Content string   `yaml:"content"`
	Command string   `yaml:"command"` // start, stop, ...
	DropIns []DropIn `yaml:"drop_ins"`
}

// DropIn is a file NAME.d/Name of a unit.
type DropIn struct {
	Name    string `yaml:"name"`
	Content string `yaml:"content"`
}

// Update are the settings in update.conf.
type Update struct {
	RebootStrategy string `yaml:"reboot_strategy"`
	Group          string `yaml:"group"`
	Server         string `yaml:"server"`
}

// OEM is the content of /etc/oem-release.
type OEM struct {
	ID           string `yaml:"id"`
	Name         string `yaml:"name"`
	VersionID    string `yaml:"version_id"`
	HomeURL      string `yaml:"home_url"`
	BugReportURL string `yaml:"bug_report_url"`
}
