package main

import (
	"context"
	"database/sql"
	"fmt"
)

// Steps are the migrations of the tables. A file's user_version is the number of steps that it
// has gone through; a file of the first registry has 0, so the first step keeps existing
// tables.
var steps = []string{`
CREATE TABLE IF NOT EXISTS package (
	id         TEXT PRIMARY KEY,
	name       TEXT NOT NULL UNIQUE,
	owner      TEXT NOT NULL,
	owner_name TEXT NOT NULL,
	private    INTEGER NOT NULL,
	revision   INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	modified   INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS release (
	package   TEXT NOT NULL REFERENCES package (id),
	version   TEXT NOT NULL,
	manifest  BLOB NOT NULL,
	tarball   TEXT NOT NULL,
	published INTEGER NOT NULL,
	PRIMARY KEY (package, version)
) STRICT;
CREATE TABLE IF NOT EXISTS tag (
	package TEXT NOT NULL,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	PRIMARY KEY (package, name),
	FOREIGN KEY (package, version) REFERENCES release (package, version)
) STRICT;
`, `
CREATE TABLE owner (
	package TEXT NOT NULL REFERENCES package (id),
	user    TEXT NOT NULL,
	PRIMARY KEY (package, user)
) STRICT;
CREATE INDEX owner_user ON owner (user);
INSERT INTO owner SELECT id, owner FROM package;
ALTER TABLE package DROP COLUMN owner;
ALTER TABLE package DROP COLUMN owner_name;
ALTER TABLE package ADD COLUMN scope TEXT NOT NULL DEFAULT '';
UPDATE package SET scope = substr(name, 2, instr(name, '/') - 2) WHERE name LIKE '@%';
CREATE INDEX package_scope ON package (scope);
ALTER TABLE release ADD COLUMN deprecated TEXT NOT NULL DEFAULT '';
UPDATE release SET deprecated = json_extract(CAST(manifest AS TEXT), '$.deprecated')
	WHERE CASE WHEN json_valid(CAST(manifest AS TEXT)) THEN json_type(CAST(manifest AS TEXT), '$.deprecated') = 'text' ELSE false END;
-- What was unpublished. A lockfile that names a version gets it or nothing, so no
-- version is published twice, by anyone.
CREATE TABLE tombstone (
	package TEXT NOT NULL, -- the name: the package may be gone
	version TEXT NOT NULL,
	PRIMARY KEY (package, version)
) STRICT;
-- Who maintained an unscoped package that is gone. Its name is kept for them: others
-- may still depend on it.
CREATE TABLE former (
	package TEXT NOT NULL, -- the name
	user    TEXT NOT NULL,
	PRIMARY KEY (package, user)
) STRICT;
CREATE TABLE star (
	user    TEXT NOT NULL,
	package TEXT NOT NULL REFERENCES package (id),
	PRIMARY KEY (user, package)
) STRICT;
CREATE INDEX star_package ON star (package);
CREATE TABLE org (
	id     TEXT PRIMARY KEY,
	name   TEXT NOT NULL UNIQUE,
	factor INTEGER NOT NULL -- its members need a second factor
) STRICT;
CREATE TABLE member (
	org  TEXT NOT NULL REFERENCES org (id),
	user TEXT NOT NULL,
	role INTEGER NOT NULL, -- protocol.OrgRole
	PRIMARY KEY (org, user)
) STRICT;
CREATE TABLE team (
	id   INTEGER PRIMARY KEY,
	org  TEXT NOT NULL REFERENCES org (id),
	name TEXT NOT NULL,
	UNIQUE (org, name)
) STRICT;
CREATE TABLE team_member (
	team INTEGER NOT NULL REFERENCES team (id),
	user TEXT NOT NULL,
	PRIMARY KEY (team, user)
) STRICT;
CREATE INDEX team_member_user ON team_member (user);
CREATE TABLE team_grant (
	team    INTEGER NOT NULL REFERENCES team (id),
	package TEXT NOT NULL REFERENCES package (id),
	write   INTEGER NOT NULL,
	PRIMARY KEY (team, package)
) STRICT;
CREATE INDEX team_grant_package ON team_grant (package);
-- Why a user has a right on a package, each reason a row: 1 to read it, 2 to write it
-- as well, 3 to administer it. Owners and admins of an organization administer what is
-- in its scope.
CREATE VIEW part AS
	SELECT package, user, 3 AS grade FROM owner
	UNION ALL
	SELECT package.id, member.user, 3 FROM package
		JOIN org ON org.name = package.scope
		JOIN member ON member.org = org.id AND member.role >= 2
	UNION ALL
	SELECT team_grant.package, team_member.user, 1 + team_grant.write FROM team_grant
		JOIN team_member ON team_member.team = team_grant.team;
`, `
-- Apart from release, which lists and searches read: SQLite reads all that precedes a column.
CREATE TABLE manifest (
	package TEXT NOT NULL,
	version TEXT NOT NULL,
	body    BLOB NOT NULL, -- JSON, without a tarball URL
	PRIMARY KEY (package, version),
	FOREIGN KEY (package, version) REFERENCES release (package, version) ON DELETE CASCADE
) STRICT;
INSERT INTO manifest SELECT package, version, manifest FROM release;
ALTER TABLE release DROP COLUMN manifest;
ALTER TABLE release ADD COLUMN size INTEGER NOT NULL DEFAULT 0; -- bytes of the manifest
ALTER TABLE release ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE release ADD COLUMN keywords TEXT NOT NULL DEFAULT '[]'; -- a JSON array of texts
ALTER TABLE release ADD COLUMN publisher TEXT NOT NULL DEFAULT ''; -- the name
` + describe + `;
`, `
-- Versions that are staged: what a publish would store, as JSON, under the ID that npmauth gave it.
CREATE TABLE staged (
	id          TEXT PRIMARY KEY,
	publication BLOB NOT NULL,
	created     INTEGER NOT NULL
) STRICT;
`}

// describe sets the columns that are what a search shows of a manifest: the beginning of a
// long description, and some keywords of many. A manifest that SQLite does not take for JSON has
// none. Publish runs it for one release. It is a part of the third step: after a change
// another step must run the new one.
const describe = `
UPDATE release SET (size, description, keywords, publisher) = (
	SELECT length(body),
		CASE json_type(doc, '$.description') WHEN 'text' THEN substr(json_extract(doc, '$.description'), 1, 512) ELSE '' END,
		(SELECT json_group_array(substr(value, 1, 64)) FROM (SELECT value FROM json_each(doc, '$.keywords') WHERE type = 'text' LIMIT 32)),
		CASE json_type(doc, '$._npmUser.name') WHEN 'text' THEN substr(json_extract(doc, '$._npmUser.name'), 1, 256) ELSE '' END
	FROM (
		SELECT body, CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ELSE '{}' END AS doc FROM manifest
		WHERE manifest.package = release.package AND manifest.version = release.version))`

// makeTables carries out the steps that a file lacks; made reports whether it was new.
func (d *database) makeTables(ctx context.Context) (made bool, err error) {
	// A file that lacks none needs no write lock, which might not be got in time while other
	// processes write without a pause.
	if _, done, err := stepsOf(ctx, d.db); err != nil || done == len(steps) {
		return false, err
	}
	err = d.write(ctx, func(tx *sql.Tx) error { // of several processes one finds nothing
		fresh, done, err := stepsOf(ctx, tx)
		if err != nil {
			return err
		}
		made = fresh
		for _, step := range steps[done:] {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(steps)))
		return err
	})
	return made, err
}

// stepsOf returns whether the file is new, and how many of the steps it has gone through.
func stepsOf(ctx context.Context, q querier) (fresh bool, done int, err error) {
	err = q.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM sqlite_schema) = 0, user_version FROM pragma_user_version`).Scan(&fresh, &done)
	if err == nil && done > len(steps) {
		err = fmt.Errorf("its tables are of a later registry than this one (%d, here %d)", done, len(steps))
	}
	return fresh, done, err
}
