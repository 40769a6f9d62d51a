package main

import (
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgimg" // PNG
	_ "gonum.org/v1/plot/vg/vgsvg" // SVG
)

// chart is one picture.
type chart = plot.Plot

const (
	chartWidth  = 22 * vg.Centimeter
	chartHeight = 12 * vg.Centimeter
)

// writePlots writes a chart of each scenario that has one.
func (r *report) writePlots(dir string, progress io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, s := range r.opts.scenarios {
		if s.plot == nil {
			continue
		}
		c, err := s.plot(s, r)
		if err != nil {
			return fmt.Errorf("plot of %s: %w", s.name, err)
		}
		if c == nil {
			continue
		}
		for _, format := range []string{".svg", ".png"} {
			file := filepath.Join(dir, s.name+format)
			if err := c.Save(chartWidth, chartHeight, file); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			fmt.Fprintln(progress, file)
		}
	}
	return nil
}

// newChart has a title that says what, and below it where.
func (r *report) newChart(s scenario) *chart {
	p := plot.New()
	m := r.Machine
	p.Title.Text = fmt.Sprintf("%s: %s\n%s, %d cores, %s, %s, commit %s",
		s.name, s.title(r.opts), m.CPU, m.Cores, m.Kernel, m.Go, r.Commit)
	p.Title.TextStyle.Font.Size = 10
	p.Title.Padding = 2 * vg.Millimeter
	p.Y.Label.TextStyle.Font.Size, p.X.Label.TextStyle.Font.Size = 10, 10
	p.Legend.TextStyle.Font.Size = 10
	p.BackgroundColor = color.White
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Millimeter
	p.X.Padding, p.Y.Padding = 0, 0
	return p
}

// palette tells the servers apart, also for those who see colors differently.
var palette = map[string]color.RGBA{
	"ours":             {R: 0xd5, G: 0x5e, B: 0x00, A: 255},
	"ours-nethttp":     {R: 0xe6, G: 0x9f, B: 0x00, A: 255},
	"bare":             {R: 0x00, G: 0x00, B: 0x00, A: 255},
	"bare-replay":      {R: 0x00, G: 0x00, B: 0x00, A: 255},
	"go-sse":           {R: 0x00, G: 0x72, B: 0xb2, A: 255},
	"r3labs":           {R: 0x00, G: 0x9e, B: 0x73, A: 255},
	"launchdarkly":     {R: 0xcc, G: 0x79, B: 0xa7, A: 255},
	"alexandrevicenzi": {R: 0x56, G: 0xb4, B: 0xe9, A: 255},
	"nchan":            {R: 0x8a, G: 0x7a, B: 0x1c, A: 255},
}

// bars are drawn from the bottom of the axis, so that it may be logarithmic.
type bars struct {
	values []float64
	colors []color.Color
	labels []string
}

const barWidth = 1.4 * vg.Centimeter

func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := draw.TextStyle{
		Color:   color.Black,
		Font:    font.From(plot.DefaultFont, 9),
		XAlign:  draw.XCenter,
		YAlign:  draw.YBottom,
		Handler: plot.DefaultTextHandler,
	}
	for i, v := range b.values {
		x, y := toX(float64(i)), toY(v)
		left, right := x-barWidth/2, x+barWidth/2
		c.FillPolygon(b.colors[i], []vg.Point{{X: left, Y: c.Min.Y}, {X: left, Y: y}, {X: right, Y: y}, {X: right, Y: c.Min.Y}})
		c.FillText(style, vg.Point{X: x, Y: y + vg.Millimeter}, b.labels[i])
	}
}
