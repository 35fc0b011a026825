module bigbrotherbot/tools/rqlited

go 1.26

require github.com/rqlite/rqlite/v10 v10.3.4

// The same replacements as in rqlite's own go.mod: those of a dependency do not count.
replace (
	github.com/armon/go-metrics => github.com/hashicorp/go-metrics v0.5.1
	github.com/mattn/go-sqlite3 => github.com/rqlite/go-sqlite3 v1.49.0
)
