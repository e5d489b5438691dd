package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/npmauth/npmauth/host"
	"github.com/npmauth/npmauth/protocol"
)

// Bounds of a search.
const (
	searchPage  = 20  // results by default
	searchMost  = 250 // results at once
	searchWords = 16  // words of a query
)

// search serves npm search, at the path of npm 7 and later, and at the older one that lists all
// packages. Each shows what the requester may read.
func (s *registry) search(w http.ResponseWriter, r *http.Request, _ host.Operation) error {
	var user protocol.UserID
	if who, ok := host.IdentityFrom(r.Context()); ok {
		user = who.User
	}
	if !strings.HasSuffix(r.URL.Path, "/-/v1/search") {
		return s.everything(w, r, user)
	}
	query := r.URL.Query()
	size, err := number(query.Get("size"), searchPage)
	if err != nil {
		return err
	}
	from, err := number(query.Get("from"), 0)
	if err != nil {
		return err
	}
	words, err := searched(query.Get("text"))
	if err != nil {
		return err
	}
	all, err := s.db.search(r.Context(), user, words)
	if err != nil {
		return err
	}
	if all, err = readable(r.Context(), all); err != nil {
		return err
	}
	total := len(all)
	all = all[min(from, total):min(from+min(size, searchMost), total)]
	found := make([]finding, 0, len(all))
	for i, one := range all {
		f, err := s.finding(r.Context(), one.Name, float64(total-from-i)/float64(total))
		if errors.Is(err, errNoPackage) { // since it was found
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, f)
	}
	return list(w, struct {
		Objects []finding `json:"objects"`
		Total   int       `json:"total"`
	}{found, total})
}

// searched returns the words of a query.
func searched(text string) ([]string, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) > searchWords {
		return nil, refuse(http.StatusBadRequest, "A search has at most %d words.", searchWords)
	}
	return words, nil
}

// number reads a numeric parameter.
func number(text string, none int) (int, error) {
	if text == "" {
		return none, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<30 {
		return 0, refuse(http.StatusBadRequest, "size and from must be numbers.")
	}
	return n, nil
}

// everything answers GET /-/all. The time that npm 6 takes for that of its copy is always the
// beginning, so that it requests all of it each time.
func (s *registry) everything(w http.ResponseWriter, r *http.Request, user protocol.UserID) error {
	all, err := s.db.search(r.Context(), user, nil)
	if err != nil {
		return err
	}
	if all, err = readable(r.Context(), all); err != nil {
		return err
	}
	answer := map[string]any{"_updated": 0}
	for _, one := range all {
		f, err := s.finding(r.Context(), one.Name, 1)
		if errors.Is(err, errNoPackage) {
			continue
		}
		if err != nil {
			return err
		}
		answer[one.Name] = map[string]any{
			"name": f.Package.Name, "description": f.Package.Description, "keywords": f.Package.Keywords,
			"maintainers": f.Package.Maintainers, "dist-tags": map[string]string{"latest": f.Package.Version},
			"time": map[string]string{"modified": f.Package.Date},
		}
	}
	return list(w, answer)
}

// A finding is one result of a search, as npm's registry writes it. This registry does not rate
// packages: better matches come first, and the score says so.
type finding struct {
	Package struct {
		Name        string            `json:"name"`
		Scope       string            `json:"scope"`
		Version     string            `json:"version"`
		Description string            `json:"description"`
		Keywords    []string          `json:"keywords"`
		Date        string            `json:"date"`
		Links       map[string]string `json:"links"`
		Publisher   username          `json:"publisher"`
		Maintainers []username        `json:"maintainers"`
	} `json:"package"`
	Score struct {
		Final  float64            `json:"final"`
		Detail map[string]float64 `json:"detail"`
	} `json:"score"`
	SearchScore float64 `json:"searchScore"`
}

// username is how a search names a user.
type username struct {
	Username string `json:"username"`
	Email    string `json:"email"`
}

// finding describes the latest version of a package.
func (s *registry) finding(ctx context.Context, name string, score float64) (finding, error) {
	latest, err := s.db.summary(ctx, name)
	if err != nil {
		return finding{}, err
	}
	ids, err := owners(ctx, s.db.db, latest.ID)
	if err != nil {
		return finding{}, err
	}
	names, err := s.people.list(ctx, ids)
	if err != nil {
		return finding{}, err
	}
	var f finding
	f.Package.Name, f.Package.Version, f.Package.Date = name, latest.Version, stamp(latest.Published)
	f.Package.Scope = "unscoped" // npm's word
	if scope := scopeOf(name); scope != "" {
		f.Package.Scope = scope
	}
	f.Package.Description, f.Package.Keywords = latest.Description, latest.Keywords
	f.Package.Links = map[string]string{"npm": s.view.base.JoinPath(name).String()}
	f.Package.Publisher = username{Username: latest.Publisher}
	f.Package.Maintainers = make([]username, len(names))
	for i, name := range names {
		f.Package.Maintainers[i] = username{Username: name}
	}
	f.Score.Final, f.SearchScore = score, score
	f.Score.Detail = map[string]float64{"quality": score, "popularity": score, "maintenance": score}
	return f, nil
}

// A summary is what a search shows of the latest version of a package.
type summary struct {
	ID                              protocol.PackageID
	Version, Description, Publisher string
	Keywords                        []string
	Published                       time.Time
}

// summary returns that of the package called name. It reads no manifest.
func (d *database) summary(ctx context.Context, name string) (summary, error) {
	var is summary
	var keywords []byte
	var published int64
	err := d.db.QueryRowContext(ctx, `
		SELECT package.id, release.version, description, keywords, publisher, published FROM package
		JOIN tag ON tag.package = package.id AND tag.name = 'latest'
		JOIN release ON release.package = package.id AND release.version = tag.version
		WHERE package.name = ?`, name).
		Scan(&is.ID, &is.Version, &is.Description, &keywords, &is.Publisher, &published)
	if errors.Is(err, sql.ErrNoRows) {
		return summary{}, errNoPackage
	}
	if err == nil {
		err = json.Unmarshal(keywords, &is.Keywords)
	}
	if err != nil {
		return summary{}, fmt.Errorf("read summary: %w", err)
	}
	is.Published = time.UnixMilli(published)
	return is, nil
}

// search returns the packages that user may read and whose name, description or keywords have
// all the words, exact names first. It reads a row of each package and no manifest: a registry of
// many packages needs an index.
func (d *database) search(ctx context.Context, user protocol.UserID, words []string) ([]share, error) {
	var where, order strings.Builder
	args := []any{sql.Named("viewer", user)}
	for i, word := range words {
		fmt.Fprintf(&where, ` AND instr(haystack, :w%d) > 0`, i)
		fmt.Fprintf(&order, `instr(lower(name), :w%d) = 0, `, i)
		args = append(args, sql.Named(fmt.Sprintf("w%d", i), word))
	}
	if len(words) > 0 {
		args = append(args, sql.Named("all", strings.Join(words, " ")))
		order.WriteString(`lower(name) <> :all, `)
	}
	return shares(ctx, d.db, `
		SELECT name, private, 1 FROM (
			SELECT package.name, package.private,
				lower(package.name || ' ' || description || ' ' || keywords) AS haystack
			FROM package
			JOIN tag ON tag.package = package.id AND tag.name = 'latest'
			JOIN release ON release.package = package.id AND release.version = tag.version
			WHERE `+visible+`
		) WHERE true`+where.String()+` ORDER BY `+order.String()+`name`, args...)
}
