package dashboard_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
)

const interval = 15 * time.Second

var grammar = parser.NewParser(parser.Options{})

// database answers an engine with what was scraped.
type database struct {
	storage.LabelQuerier // which an engine does not ask
	series               []storage.Series
	first, last          time.Time
	labels               map[string][]string // that a metric has
}

// newDatabase puts in what a server would, with the labels of its targets.
func newDatabase(t *testing.T, scrapes []scrape) *database {
	d := &database{first: scrapes[0].at, last: scrapes[len(scrapes)-1].at, labels: map[string][]string{}}
	appenders := map[string]chunkenc.Appender{}
	for _, s := range scrapes {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(s.at.UnixNano())}, s.families...)
		require.NoError(t, err)
		for _, sample := range samples {
			set := labels.NewBuilder(labels.EmptyLabels()).Set("job", "app").Set("instance", s.instance)
			name := string(sample.Metric[model.MetricNameLabel])
			for label, value := range sample.Metric {
				set.Set(string(label), string(value))
			}
			key := set.Labels().String()
			if appenders[key] == nil {
				set.Labels().Range(func(l labels.Label) { d.labels[name] = append(d.labels[name], l.Name) })
				chunk := chunkenc.NewXORChunk()
				appenders[key], err = chunk.Appender()
				require.NoError(t, err)
				d.series = append(d.series, &storage.SeriesEntry{Lset: set.Labels(), SampleIteratorFn: chunk.Iterator})
			}
			appenders[key].Append(0, int64(sample.Timestamp), float64(sample.Value))
		}
	}
	return d
}

func (d *database) Querier(int64, int64) (storage.Querier, error) { return d, nil }
func (d *database) Close() error                                  { return nil }

func (d *database) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	list := &seriesList{}
	for _, s := range d.series {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels().Get(m.Name)) }) {
			list.series = append(list.series, s)
		}
	}
	return list
}

// seriesList is a storage.SeriesSet, behind the first n.
type seriesList struct {
	series []storage.Series
	n      int
}

func (l *seriesList) Next() bool                        { l.n++; return l.n <= len(l.series) }
func (l *seriesList) At() storage.Series                { return l.series[l.n-1] }
func (l *seriesList) Err() error                        { return nil }
func (l *seriesList) Warnings() annotations.Annotations { return nil }

// query returns what an expression is at each scrape.
func (d *database) query(t *testing.T, expr string) promql.Matrix {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1 << 20, Timeout: time.Minute, Parser: grammar})
	defer func() { require.NoError(t, engine.Close()) }()
	q, err := engine.NewRangeQuery(t.Context(), d, nil, expr, d.first, d.last, interval)
	require.NoError(t, err, expr)
	defer q.Close()
	result := q.Exec(t.Context())
	require.NoError(t, result.Err, expr)
	require.Empty(t, result.Warnings, expr)
	matrix, err := result.Matrix()
	require.NoError(t, err)
	return slices.Clone(matrix)
}
