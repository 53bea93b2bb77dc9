package users

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() List {
	return List{
		Groups: []Group{{"root", 0, nil}, {"shadow", 42, nil}, {"docker", 233, []string{"core"}}, {"core", 500, nil}},
		Users: []User{
			{Name: "root", Home: "/root", Shell: "/bin/bash", Comment: "root"},
			{Name: "core", UID: 500, GID: 500, Home: "/home/core", Shell: "/bin/bash", Password: "!", Groups: []string{"docker"}},
		},
	}
}

func TestRender(t *testing.T) {
	got := Render(sample())
	want := Files{
		Passwd:  []byte("root:x:0:0:root:/root:/bin/bash\ncore:x:500:500::/home/core:/bin/bash\n"),
		Group:   []byte("root:x:0:\nshadow:x:42:\ndocker:x:233:core\ncore:x:500:\n"),
		Shadow:  []byte("root:*:::::::\ncore:!:::::::\n"),
		Gshadow: []byte("root:*::\nshadow:*::\ndocker:*::core\ncore:*::\n"),
		Sysusers: []byte("# Fixed ids. Made from image/users.yaml.\ng root 0\ng shadow 42\ng docker 233\ng core 500\n" +
			"u root 0:0 \"root\" /root /bin/bash\nu core 500:500 \"core\" /home/core /bin/bash\nm core docker\n"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p := Check(sample()); len(p) != 0 {
		t.Errorf("unexpected: %v", p)
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	l := sample()
	l.Groups = append(l.Groups, Group{"other", 233, []string{"nobody"}}, Group{"Bad", 7, nil})
	l.Users = append(l.Users, User{Name: "core", UID: 0, GID: 9, Password: "secret", Groups: []string{"x"}})
	var all []string
	for _, p := range Check(l) {
		all = append(all, p.Err.Error())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{`"docker" already has the id 233`, "a name is made of", "listed twice", `"root" already has the id 0`,
		"gid 9", "holds no secret", `group "x" is not in the list`, `member "nobody"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
