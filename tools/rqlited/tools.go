//go:build tools

// Package rqlited pins the rqlited that the contract tests run against; nothing of it is in the programs.
package rqlited

import _ "github.com/rqlite/rqlite/v10/cmd/rqlited"
