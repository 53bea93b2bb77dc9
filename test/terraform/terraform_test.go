package terraform

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// tool makes a program that the module in dir pins, which Go keeps for the next
// time, and says where it is.
func tool(t *testing.T, dir, pkg string) string {
	t.Helper()
	return strings.TrimSpace(run(t, dir, []string{"CGO_ENABLED=0"}, "go", "tool", "-n", pkg))
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, cmd.Stderr)
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// blocks are those of a language in a page.
func blocks(t *testing.T, page, language string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(data), "\n```"+language+"\n")[1:] {
		text, _, _ := strings.Cut(part, "\n```\n")
		out = append(out, text+"\n")
	}
	return out
}

// TestPage lets OpenTofu judge all that the page shows, and the first block
// with the provider that it names.
func TestPage(t *testing.T) {
	tofu := tool(t, "tofu", "github.com/opentofu/opentofu/cmd/tofu")
	shown := blocks(t, filepath.Join(root, "docs/terraform.md"), "hcl")
	if len(shown) != 2 {
		t.Fatalf("the page has %d blocks", len(shown))
	}
	dir := t.TempDir()
	for i, text := range shown {
		name := filepath.Join(dir, fmt.Sprint(i), "main.tf")
		write(t, name, text)
		run(t, filepath.Dir(name), nil, tofu, "fmt", "-check", "-diff")
	}
	one := filepath.Join(dir, "0")
	ignition := run(t, root, []string{"CGO_ENABLED=0"}, "go", "run", "./cmd/wellcar", "config", "--strict", "examples/hello.bu")
	write(t, filepath.Join(one, "out/pages/terraform/web.ign"), ignition)
	plugins := filepath.Join(dir, "plugins")
	write(t, filepath.Join(dir, "tofurc"), fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n  }\n}\n", "terraform-provider-openstack/openstack", plugins))
	provider := tool(t, "provider", "github.com/terraform-provider-openstack/terraform-provider-openstack/v3")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(provider, filepath.Join(plugins, "terraform-provider-openstack")); err != nil {
		t.Fatal(err)
	}
	env := []string{"TF_CLI_CONFIG_FILE=" + filepath.Join(dir, "tofurc"), "CHECKPOINT_DISABLE=1"}
	said := run(t, one, env, tofu, "validate", "-no-color")
	if !strings.Contains(said, "The configuration is valid") {
		t.Error(said)
	}
	broken := strings.Replace(shown[0], "user_data ", "user_date ", 1)
	write(t, filepath.Join(one, "main.tf"), broken)
	cmd := exec.CommandContext(t.Context(), tofu, "validate", "-no-color")
	cmd.Dir, cmd.Env = one, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), `"user_date"`) {
		t.Errorf("the provider was not asked: %v\n%s", err, out)
	}
}
