// Package dashboard holds the dashboard and the alerts of metrics/prom against the
// metrics that there are, with Prometheus' own parser and engine. It is a module of its
// own, so that metrics/prom does not need the server.
package dashboard
