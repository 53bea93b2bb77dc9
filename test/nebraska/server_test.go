package nebraska

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/kinvolk/nebraska/backend/pkg/api"
	"github.com/kinvolk/nebraska/backend/pkg/config"
	"github.com/kinvolk/nebraska/backend/pkg/server"
	"github.com/rs/zerolog"

	"wellcar.dev/internal/format/omaha"
)

// What the database of a new Nebraska has.
const (
	flatcar     = "e96281a6-d1af-4bde-9a0a-97b76e56dc57"
	stable      = "e06064ad-4414-4904-9a6e-fd465593d1b2" // the channel of amd64
	stableGroup = "9a2deb70-37be-4026-853f-bfdd6b347bbe"
)

// world is a Nebraska, and a web server beside it for the files.
type world struct {
	*testing.T
	db       *postgres
	nebraska http.Handler
	url      string // of the server that machines ask
	files    string // what the web server has
	web      *httptest.Server
	machines int

	mu   sync.Mutex
	said []exchange
}

// exchange is a question of a machine and the answer.
type exchange struct {
	request omaha.Request
	answer  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, db: newPostgres(t), files: t.TempDir()}
	t.Setenv("NEBRASKA_DB_URL", w.db.url())
	zerolog.SetGlobalLevel(zerolog.WarnLevel)
	db, err := api.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if w.nebraska, err = server.New(&config.Config{AuthMode: "noop", HTTPStaticDir: t.TempDir()}, db); err != nil {
		t.Fatal(err)
	}
	asked := httptest.NewServer(http.HandlerFunc(w.listen))
	t.Cleanup(asked.Close)
	w.url = asked.URL
	w.web = httptest.NewServer(http.FileServer(http.Dir(w.files)))
	t.Cleanup(w.web.Close)
	return w
}

// listen lets Nebraska answer and keeps what was said.
func (w *world) listen(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	w.nebraska.ServeHTTP(answer, r)
	if request, err := omaha.DecodeRequest(body); err == nil {
		w.mu.Lock()
		w.said = append(w.said, exchange{request, answer.Body.String()})
		w.mu.Unlock()
	}
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	out.Write(answer.Body.Bytes())
}

// heard are the exchanges with a machine.
func (w *world) heard(id string) (said []exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.said {
		if e.request.Apps[0].MachineID == id {
			said = append(said, e)
		}
	}
	return said
}

// call uses the API that Nebraska's pages use.
func (w *world) call(method, path string, in, out any) {
	w.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.Fatal(err)
	}
	r := httptest.NewRequest(method, "/api/apps/"+flatcar+path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	w.nebraska.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		w.Fatalf("%s %s: status %d: %s", method, path, answer.Code, answer.Body)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), out); err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
}

// fields are those of a form.
type fields map[string]any

// offer makes one file of a release folder, as docs/updates.md says, and puts
// it into the stable channel.
func (w *world) offer(folder string) {
	w.Helper()
	const name = "wellcar_production_update.wcu"
	form := w.pack(folder, filepath.Join(w.files, name))
	var made struct{ ID string }
	w.call("POST", "/packages", fields{"application_id": flatcar, "arch": 1, "channels_blacklist": []string{}, "description": "Wellcar",
		"url": w.web.URL, "filename": name, "version": form["version"], "size": form["size"], "hash": form["sha1"], "type": 1,
		"flatcar_action": fields{"sha256": form["sha256"]}}, &made)
	w.call("PUT", "/channels/"+stable, fields{"application_id": flatcar, "arch": 1, "name": "stable", "color": "#14b9d6", "package_id": made.ID}, &made)
}

// pack runs wellcar package; it returns what that prints for the form.
func (w *world) pack(folder, file string) map[string]string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "go", "run", "./cmd/wellcar", "package", "--release", folder, "--out", file)
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		w.Fatal(err)
	}
	form := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^(\w+) +(\S+)$`).FindAllStringSubmatch(string(out), -1) {
		form[line[1]] = line[2]
	}
	return form
}

// group changes the policy of the stable group, which lets any number of
// machines update if nothing else is said.
func (w *world) group(policy fields) {
	w.Helper()
	form := fields{"name": "Stable", "track": "stable", "channel_id": stable, "policy_updates_enabled": true, "policy_safe_mode": false,
		"policy_office_hours": false, "policy_timezone": "Europe/Berlin", "policy_period_interval": "60 minutes", "policy_max_updates_per_period": 999999,
		"policy_update_timeout": "60 minutes"}
	maps.Copy(form, policy)
	var group fields
	w.call("PUT", "/groups/"+stableGroup, form, &group)
}

// statuses are those that Nebraska gave a machine, the last one last.
func (w *world) statuses(id string) string {
	w.Helper()
	var names []string
	words := map[string]string{"1": "undefined", "2": "granted", "3": "error", "4": "complete", "5": "installed", "6": "downloaded", "7": "downloading", "8": "on hold"}
	for _, line := range w.db.query(w.T, fmt.Sprintf("select status from instance_status_history where instance_id = '%s' order by id", id)) {
		names = append(names, words[line])
	}
	return strings.Join(names, ", ")
}

// events are those of a machine that Nebraska took down.
func (w *world) events(id string) string {
	w.Helper()
	return strings.Join(w.db.query(w.T, fmt.Sprintf(`select concat_ws(' ', type || '/' || result, nullif(previous_version, ''), nullif(error_code, '0'))
		from event join event_type on event_type.id = event_type_id where instance_id = '%s' order by event.id`, id)), ", ")
}

// version is what Nebraska's page of a machine shows that it runs.
func (w *world) version(id string) string {
	w.Helper()
	var instance struct {
		Application struct{ Version string }
	}
	w.call("GET", "/groups/"+stableGroup+"/instances/"+id, nil, &instance)
	return instance.Application.Version
}

// beside puts the files of a release beside the one that Nebraska knows.
func (w *world) beside(folder string) {
	w.Helper()
	if err := os.CopyFS(w.files, os.DirFS(folder)); err != nil {
		w.Fatal(err)
	}
}
