package dashboard_test

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// dashboard is what is looked at of Grafana's format.
type dashboard struct {
	Panels     []panel
	Templating struct{ List []variable }
}

type variable struct {
	Name, Type string
	Datasource source
	Definition string
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  source
	Targets     []struct {
		Expr, LegendFormat string
		Datasource         source
	}
}

type source struct{ Type, UID string }

func readDashboard(t *testing.T) (d dashboard) {
	text, err := os.ReadFile("../../metrics/prom/dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// Each query of the dashboard is PromQL about metrics and labels that there are, and
// has an answer with the labels of its legend; and each metric is in one.
func TestDashboardQueries(t *testing.T) {
	db := newDatabase(t, healthy().run(t))
	shown := map[string]bool{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$job", "app", "$instance", ".*").Replace(target.Expr)
			maps.Copy(shown, selected(t, db, expr))
			answered := false
			for _, series := range db.query(t, expr) {
				last := series.Floats[len(series.Floats)-1]
				answered = answered || !math.IsNaN(last.F) && last.T == db.last.UnixMilli()
				for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
					require.True(t, series.Metric.Has(label[1]), "%s: %s", p.Title, label[0])
				}
			}
			require.True(t, answered, "%s: %s", p.Title, expr)
		}
	}
	for name := range db.labels {
		if !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			require.True(t, shown[name], "no panel shows %s", name)
		}
	}
}

// The dashboard needs Grafana and a data source that one chooses, no other plug-in.
func TestDashboardPlugins(t *testing.T) {
	db := newDatabase(t, healthy().run(t)[:1])
	d := readDashboard(t)
	chosen := source{"prometheus", "${datasource}"}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		require.Contains(t, []string{"row", "timeseries", "stat", "heatmap"}, p.Type)
		require.False(t, ids[p.ID], "the id of %s is not its own", p.Title)
		ids[p.ID] = true
		require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, chosen, p.Datasource, p.Title)
			require.Equal(t, chosen, target.Datasource, p.Title)
		}
	}
	require.Equal(t, "datasource", d.Templating.List[0].Name)
	require.Equal(t, "datasource", d.Templating.List[0].Type)
	for _, v := range d.Templating.List[1:] {
		require.Equal(t, chosen, v.Datasource)
		m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Definition)
		require.NotNil(t, m, v.Definition)
		for name := range selected(t, db, strings.ReplaceAll(m[1], "$job", "app")) {
			require.Contains(t, db.labels[name], m[2])
		}
	}
}

// selected returns the metrics that an expression is about, which exist, with all labels
// that it asks them for.
func selected(t *testing.T, db *database, expr string) map[string]bool {
	root, err := grammar.ParseExpr(expr)
	require.NoError(t, err, expr)
	names := map[string]bool{}
	parser.Inspect(root, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		known := db.labels[selector.Name]
		require.NotEmpty(t, known, "there is no %s", selector.Name)
		names[selector.Name] = true
		for _, m := range selector.LabelMatchers {
			require.Contains(t, append(known, "__name__"), m.Name, expr)
		}
		for _, above := range path {
			if by, ok := above.(*parser.AggregateExpr); ok {
				for _, label := range by.Grouping {
					require.Contains(t, known, label, expr)
				}
			}
		}
		return nil
	})
	require.NotEmpty(t, names, expr)
	return names
}

// An alert is one of Prometheus' rules.
type alert struct {
	Alert, Expr         string
	For                 time.Duration
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) []alert {
	text, err := os.ReadFile("../../metrics/prom/alerts.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	require.Len(t, file.Groups, 1)
	return file.Groups[0].Rules
}

// Each alert is about metrics and labels that there are, fires for a hub that has what
// it is for, and not for one that is well, with a crowd that was told a gap after one
// restart.
func TestAlerts(t *testing.T) {
	well, ill := newDatabase(t, healthy().run(t)), newDatabase(t, failing().run(t))
	for _, a := range readAlerts(t) {
		selected(t, well, a.Expr)
		require.Contains(t, []string{"warning", "critical"}, a.Labels["severity"])
		require.Empty(t, fires(t, well, a), a.Alert)
		instances := fires(t, ill, a)
		wants := "plain:80"
		if strings.Contains(a.Alert, "Broker") {
			wants = "brokered:80"
		}
		require.Equal(t, []string{wants}, instances, a.Alert)
		for name, text := range a.Annotations {
			for _, m := range regexp.MustCompile(`{{.*?\$labels\.(\w+).*?}}`).FindAllStringSubmatch(text, -1) {
				require.Equal(t, "instance", m[1], "%s of %s", name, a.Alert)
			}
		}
	}
}

// fires returns of which instances an alert is true for as long as it has to be.
func fires(t *testing.T, db *database, a alert) (instances []string) {
	for _, series := range db.query(t, a.Expr) {
		run, last := time.Duration(0), int64(0)
		for _, point := range series.Floats {
			if point.T-last != interval.Milliseconds() {
				run = -interval
			}
			run, last = run+interval, point.T
			if run >= a.For {
				instances = append(instances, series.Metric.Get("instance"))
				break
			}
		}
	}
	slices.Sort(instances)
	return slices.Compact(instances)
}
