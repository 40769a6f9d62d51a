// Package compat holds no code, only tests: of a hub behind the routers, middleware and
// servers that people use, and before the clients that they read with. Each row of
// docs/compat.md is one of them; go test -run TestTable -update writes it. Clients from
// npm come by "npm ci"; without npm, node or Chromium their tests are skipped, or fail if
// CI=true.
package compat
