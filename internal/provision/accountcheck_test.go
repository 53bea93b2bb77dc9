package provision

import (
	"errors"
	"strings"
	"testing"
)

// TestAccountsAreCheckedBefore has what useradd and groupadd refuse, and what
// they take though it looks odd.
func TestAccountsAreCheckedBefore(t *testing.T) {
	for name, c := range map[string]struct{ passwd, want string }{
		"group":               {`"users":[{"name":"a","groups":["nope"]}]`, "passwd.users[0].groups[0]: user a: there is no group nope"},
		"primary group":       {`"users":[{"name":"a","primaryGroup":"nope"}]`, "passwd.users[0].primaryGroup: user a: there is no group nope"},
		"id below 0":          {`"users":[{"name":"a","uid":-1}]`, "passwd.users[0].uid: user a: -1 is no id"},
		"id too large":        {`"groups":[{"name":"a","gid":4294967295}]`, "passwd.groups[0].gid: group a: 4294967295 is no id"},
		"id of the image":     {`"users":[{"name":"a","uid":500}]`, "passwd.users[0].uid: user a: the user core has the id 500 already"},
		"id twice":            {`"users":[{"name":"a","uid":3000},{"name":"b","uid":3000}]`, "passwd.users[1].uid: user b: the user a has the id 3000 already"},
		"gid of the image":    {`"groups":[{"name":"a","gid":10}]`, "passwd.groups[0].gid: group a: the group wheel has the id 10 already"},
		"gid twice":           {`"groups":[{"name":"a","gid":3000},{"name":"b","gid":3000}]`, "passwd.groups[1].gid: group b: the group a has the id 3000 already"},
		"colon in a hash":     {`"users":[{"name":"a","passwordHash":"a:b"}]`, "passwd.users[0].passwordHash: user a: the password's hash has a colon"},
		"line in a comment":   {`"users":[{"name":"a","gecos":"a\nb"}]`, "passwd.users[0].gecos: user a: the comment has a colon"},
		"relative home":       {`"users":[{"name":"a","homeDir":"x"}]`, "passwd.users[0].homeDir: user a: the home directory is not an absolute path"},
		"relative shell":      {`"users":[{"name":"a","shell":"bash"}]`, "passwd.users[0].shell: user a: the shell is not an absolute path"},
		"group of the name":   {`"groups":[{"name":"a"}],"users":[{"name":"a"}]`, "passwd.users[0]: user a: a group of this name exists"},
		"long group":          {`"groups":[{"name":"` + strings.Repeat("a", 33) + `"}]`, "the name is longer than the 32 characters"},
		"private key":         {`"users":[{"name":"a","sshAuthorizedKeys":["-----BEGIN OPENSSH PRIVATE KEY-----"]}]`, "passwd.users[0].sshAuthorizedKeys[0]: user a: this is a private key"},
		"known groups":        {`"groups":[{"name":"b"}],"users":[{"name":"a","groups":["docker","b","10"],"primaryGroup":"users"}]`, ""},
		"group of a user":     {`"users":[{"name":"a"},{"name":"b","groups":["a"]}]`, ""},
		"the largest id":      {`"users":[{"name":"a","uid":4294967294}]`, ""},
		"the same id":         {`"users":[{"name":"core","uid":500}],"groups":[{"name":"wheel","gid":10}]`, ""},
		"id of one that goes": {`"users":[{"name":"core","shouldExist":false},{"name":"a","uid":500}]`, ""},
		"odd texts":           {`"users":[{"name":"é","gecos":"ä, \"b\"","homeDir":"/a b","shell":"/no such","passwordHash":""}]`, ""},
		"joins the group":     {`"groups":[{"name":"a"}],"users":[{"name":"a","primaryGroup":"a"}]`, ""},
		"without own group":   {`"groups":[{"name":"a"}],"users":[{"name":"a","noUserGroup":true}]`, ""},
		"group that goes":     {`"groups":[{"name":"a","shouldExist":false}],"users":[{"name":"a"}]`, ""},
	} {
		conf, report := Load("c.ign", []byte(`{"ignition":{"version":"3.4.0"},"passwd":{`+c.passwd+`}}`), LoadOptions{})
		p, err := conf.Plan(DefaultFacts())
		found := append(report, p.Warnings...)
		var failed Report
		if errors.As(err, &failed) {
			found = append(found, failed...)
		}
		var got []string
		for _, f := range found {
			got = append(got, f.Path+": "+f.Message)
		}
		if all := strings.Join(got, "\n"); len(got) > 1 || (all == "") != (c.want == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", name, all, c.want)
		}
	}
}
