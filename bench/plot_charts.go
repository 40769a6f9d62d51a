package main

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// barChart has a bar for the median of each server.
func barChart(s scenario, rep *report, key, axis string, log bool) (*chart, error) {
	var b bars
	var names []string
	for _, name := range rep.serversOf(s) {
		v := median(figures(rep.of(s.name, name), key))
		if v <= 0 {
			continue // it failed, and the table says why
		}
		names = append(names, name)
		b.values = append(b.values, v)
		b.colors = append(b.colors, palette[name])
		b.labels = append(b.labels, grouped(v))
	}
	if len(b.values) == 0 {
		return nil, nil
	}
	p := rep.newChart(s)
	p.Add(&b)
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.6, float64(len(names))-0.4
	p.Y.Label.Text = axis
	most := slices.Max(b.values)
	p.Y.Min, p.Y.Max = 0, most*1.1
	p.Y.Tick.Marker = groupedTicks{plot.DefaultTicks{}}
	if log {
		p.Y.Label.Text += " (logarithmic)"
		p.Y.Scale = plot.LogScale{}
		p.Y.Tick.Marker = groupedTicks{plot.LogTicks{}}
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(slices.Min(b.values)))) / 2
		p.Y.Max = most * 2
	}
	return p, nil
}

// groupedTicks writes numbers as the tables do.
type groupedTicks struct{ plot.Ticker }

func (g groupedTicks) Ticks(low, high float64) []plot.Tick {
	ticks := g.Ticker.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = grouped(ticks[i].Value)
		}
	}
	return ticks
}

// percentileChart shows how long messages take: at 99 is what 99% do not
// exceed.
func percentileChart(s scenario, rep *report) (*chart, error) {
	p := rep.newChart(s)
	most := 0.0
	err := rep.addLines(p, s, "p99_ns", func(r *result) (points plotter.XYs) {
		if r.Latency == nil || r.Latency.Count == 0 {
			return nil
		}
		for _, q := range r.Latency.Curve {
			if q.Part < 0.5 {
				continue
			}
			x := nines(min(q.Part, 1-1/float64(r.Latency.Count)))
			points = append(points, plotter.XY{X: x, Y: max(q.Value.Seconds()*1e3, 1e-3)})
			most = max(most, x)
		}
		return points
	})
	if err != nil || most == 0 {
		return nil, err
	}
	p.X.Label.Text = "percentile"
	p.X.Min, p.X.Max = nines(0.5), most
	p.X.Tick.Marker = percentTicks(most)
	p.Y.Label.Text = "latency in ms (logarithmic)"
	logAxis(&p.Y)
	return p, nil
}

// nines is 1 for 0.9, 2 for 0.99 and so on.
func nines(part float64) float64 { return -math.Log10(1 - min(part, 1-1e-9)) }

func percentTicks(most float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for _, percent := range []float64{50, 75, 90, 99, 99.9, 99.99, 99.999} {
		if x := nines(percent / 100); x <= most {
			ticks = append(ticks, plot.Tick{Value: x, Label: strconv.FormatFloat(percent, 'g', -1, 64)})
		}
	}
	return ticks
}

// timeChart shows how much has come after what time, in percent.
func timeChart(s scenario, rep *report, axis string) (*chart, error) {
	p := rep.newChart(s)
	any := false
	err := rep.addLines(p, s, "time_ns", func(r *result) (points plotter.XYs) {
		if len(r.Curve) < 2 {
			return nil
		}
		any = true
		all := r.Curve[len(r.Curve)-1].Count
		for _, c := range r.Curve {
			at := max(c.At, slice).Seconds() // the logarithm has no zero
			points = append(points, plotter.XY{X: at, Y: 100 * float64(c.Count) / float64(max(1, all))})
			if c.Count == all {
				break
			}
		}
		return points
	})
	if err != nil || !any {
		return nil, err
	}
	p.X.Label.Text = "seconds (logarithmic)"
	logAxis(&p.X)
	p.Y.Label.Text = axis + ", % of the server's own total"
	p.Y.Min, p.Y.Max = 0, 105
	return p, nil
}

// addLines adds a line for each server, of the round that is nearest to the
// median of a figure.
func (r *report) addLines(p *chart, s scenario, key string, points func(*result) plotter.XYs) error {
	for _, name := range r.serversOf(s) {
		results := slices.DeleteFunc(r.of(s.name, name), func(one *result) bool { return points(one) == nil })
		if len(results) == 0 {
			continue
		}
		middle := median(figures(results, key))
		nearest := slices.MinFunc(results, func(a, b *result) int {
			return cmp.Compare(math.Abs(a.Figures[key]-middle), math.Abs(b.Figures[key]-middle))
		})
		line, err := plotter.NewLine(points(nearest))
		if err != nil {
			return err
		}
		line.Color, line.Width = palette[name], vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(name, line)
	}
	return nil
}

// logAxis makes an axis logarithmic, from 1, 2 or 5 times a power of ten.
func logAxis(a *plot.Axis) {
	a.Scale = plot.LogScale{}
	ticks := logTicks(a.Min, a.Max)
	a.Min, a.Max = ticks[0].Value, ticks[len(ticks)-1].Value
	a.Tick.Marker = ticks
}

// logTicks are those from the last one below low to the first above high.
func logTicks(low, high float64) (ticks plot.ConstantTicks) {
	for power := math.Floor(math.Log10(low)); ; power++ {
		for _, digit := range []float64{1, 2, 5} {
			v := digit * math.Pow(10, power)
			if v <= low {
				ticks = nil
			}
			ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 3, 64)})
			if v >= high && len(ticks) > 1 {
				return ticks
			}
		}
	}
}
