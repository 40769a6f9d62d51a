// Package proxies holds no code, only tests: they put real nginx, HAProxy and Caddy
// in front of a hub, with the settings that these come with. A proxy that is not
// installed is skipped, or the test fails if CI=true.
package proxies
