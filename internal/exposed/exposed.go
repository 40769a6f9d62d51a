// Package exposed holds what shows a hub's figures, such as metrics/prom, against all
// figures that there are, and against docs/metrics.md.
package exposed

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// Fields checks that each field of Stats, BrokerStats and TopicStats makes a difference
// to what show returns, or is a key of left, with the reason why not, and makes none. The
// topic's name is "t".
func Fields(t *testing.T, left map[string]string, show func(ssehub.Stats, ssehub.TopicStats) string) {
	plain := show(ssehub.Stats{}, ssehub.TopicStats{Topic: "t"})
	require.Equal(t, plain, show(ssehub.Stats{}, ssehub.TopicStats{Topic: "t"}))
	seen := 0
	check := func(name string, field reflect.Value, show func() string) {
		before := reflect.New(field.Type()).Elem()
		before.Set(field)
		set(t, field)
		if reason := left[name]; reason != "" {
			seen++
			require.Equal(t, plain, show(), "%s is left out, as %s", name, reason)
		} else {
			require.NotEqual(t, plain, show(), "%s is not exposed", name)
		}
		field.Set(before)
	}
	var hub ssehub.Stats
	topic := ssehub.TopicStats{Topic: "t"}
	for _, of := range []any{&hub, &hub.Broker, &topic} {
		v := reflect.ValueOf(of).Elem()
		for i := range v.NumField() {
			if v.Field(i).Type() != reflect.TypeFor[ssehub.BrokerStats]() {
				check(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i), func() string { return show(hub, topic) })
			}
		}
	}
	require.Len(t, left, seen, "of these some are no fields: %v", left)
}

// set sets a field to what it is not by default.
func set(t *testing.T, field reflect.Value) {
	switch v := field.Addr().Interface().(type) {
	case *error:
		*v = errors.New("down")
	case *map[string]uint64:
		*v = map[string]uint64{sse.ReasonWindow: 7}
	case *ssehub.Histogram:
		v.Count, v.Sum = 7, 7
	case *ssehub.Position:
		*v = ssehub.Position{Epoch: "seven", Seq: 7}
	default:
		switch field.Kind() {
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Int, reflect.Int64:
			field.SetInt(7)
		case reflect.Uint64:
			field.SetUint(7)
		case reflect.String:
			field.SetString("seven")
		default:
			require.Fail(t, "a kind of field that nobody exposes yet", "%s", field.Type())
		}
	}
}

// Documented checks that docs/metrics.md, two directories up, has these rows of tables,
// and of those whose name has the prefix no others.
func Documented(t *testing.T, prefix string, rows []string) {
	text, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `"+prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	slices.Sort(rows)
	slices.Sort(found)
	require.Equal(t, strings.Join(rows, "\n"), strings.Join(found, "\n"), "docs/metrics.md should have the first")
}
