package proxies

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// The settings that docs/deploy.md shows work as they stand, but for their addresses.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/deploy.md")
	require.NoError(t, err)
	shown := make(map[string]string)
	for _, m := range regexp.MustCompile("(?s)```(nginx|haproxy|caddyfile)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		shown[m[1]] += m[2]
	}
	guide := make(map[string]kind)
	for name, is := range map[string]struct {
		in     string // with the settings for %
		change []string
	}{
		"nginx": {
			in:     "daemon off; worker_processes 1; pid DIR/pid; error_log stderr; events {}\nhttp { access_log off;\n%}",
			change: []string{"listen 80;", "listen PROXY;"},
		},
		"haproxy": {in: "%", change: []string{"bind :80", "bind PROXY"}},
		"caddy":   {in: "{\n admin off\n}\n%", change: []string{"app.example {", "http://app.example:PORT {\n bind 127.0.0.1"}},
	} {
		k := kinds[name]
		text := shown[strings.Replace(name, "caddy", "caddyfile", 1)]
		require.Equal(t, 1, strings.Count(text, is.change[0]), "%s", name)
		require.Contains(t, text, "127.0.0.1:8080")
		text = strings.NewReplacer(append(is.change, "127.0.0.1:8080", "SERVER")...).Replace(text)
		k.config = strings.Replace(is.in, "%", text, 1)
		guide[name] = k
	}
	forEachOf(guide, t, ssehub.Options{AllowedHosts: []string{"app.example"}}, func(t *testing.T, _ kind, hub *ssehub.Hub, addr string) {
		s := open(t, addr, "app.example", "")
		require.Equal(t, 200, s.res.StatusCode)
		require.Equal(t, sse.TypeHello, s.next().Type)
		for _, text := range []string{"1", "2"} {
			publish(t, hub, text)
			require.Equal(t, text, string(s.next().Data))
		}
	})
}
