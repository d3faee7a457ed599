package main

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// step is a class of the colour scale.
type step struct {
	from  float64 // share of the limit
	fill  string
	label string
}

// steps are nine colours of viridis, which keeps its order for every kind of colour blindness and in grey. The classes are
// narrow where the bars are.
var steps = []step{
	{0.99, "#fde725", "0.99 and more"},
	{0.97, "#addc30", "0.97"},
	{0.95, "#5ec962", "0.95"},
	{0.9, "#28ae80", "0.9"},
	{0.8, "#21918c", "0.8"},
	{0.5, "#2c728e", "0.5"},
	{0.2, "#3b528b", "0.2"},
	{0.05, "#472d7b", "0.05"},
	{0, "#440154", "less"},
}

const (
	cellWide, cellHigh = 66, 30
	leftOf, above      = 66, 46 // room for the labels of a panel
	gap                = 34
	titleHigh          = 74
	legendHigh         = 96
	swatch             = 92 // of the legend
)

// heatMap draws the matrix as SVG: a panel for each rate, round trips from left to right, losses downward.
func heatMap(m *matrix) string {
	rates, rtts, losses := m.axes()
	wide, high := leftOf+cellWide*len(rtts), above+cellHigh*len(losses)
	const columns = 2
	rows := (len(rates) + columns - 1) / columns
	width, height := max(gap+columns*(wide+gap), 2*gap+len(steps)*swatch), titleHigh+rows*(high+gap)+legendHigh
	var d drawing
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif" role="img">`+"\n", width, height, width, height)
	d.printf("<title>%s</title>\n", escape("Steady goodput of "+m.Subject+" over the limit"))
	d.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	d.text(gap, 32, 20, "start", "#000000", title(m.Subject))
	d.text(gap, 56, 13, "start", "#444444", "Steady goodput over what rate and loss allow, worst seed; queue of 100 ms, loss in both directions. "+m.At)
	for i, rate := range rates {
		x, y := gap+(i%columns)*(wide+gap), titleHigh+(i/columns)*(high+gap)
		d.text(x+leftOf, y+18, 15, "start", "#000000", rateName(rate))
		d.text(x+leftOf+cellWide*len(rtts), y+18, 12, "end", "#444444", "round trip, ms")
		d.text(x+leftOf-8, y+above-8, 12, "end", "#444444", "loss, %")
		for j, rtt := range rtts {
			d.text(x+leftOf+cellWide*j+cellWide/2, y+above-8, 12, "middle", "#444444", fmt.Sprint(rtt))
		}
		for k, loss := range losses {
			cy := y + above + cellHigh*k
			d.text(x+leftOf-8, cy+cellHigh/2+4, 12, "end", "#444444", fmt.Sprintf("%g", loss))
			for j, rtt := range rtts {
				d.cell(x+leftOf+cellWide*j, cy, m.find(rate, rtt, loss))
			}
		}
	}
	d.legend(gap, height-legendHigh+12, m)
	d.printf("</svg>\n")
	return d.String()
}

func title(subject string) string {
	switch subject {
	case "cubic":
		return "Model of TCP CUBIC"
	case "bbr":
		return "Model of TCP BBR (version 1)"
	}
	return "Tradewind, policy " + subject
}

// drawing is SVG text.
type drawing struct{ strings.Builder }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func (d *drawing) text(x, y, size int, anchor, fill, s string) {
	d.printf(`<text x="%d" y="%d" font-size="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, size, anchor, fill, escape(s))
}

// cell draws the value on its colour; marks are shapes, not colours alone.
func (d *drawing) cell(x, y int, c *cell) {
	if c == nil {
		d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="#f2f2f2"/>`+"\n", x+1, y+1, cellWide-2, cellHigh-2)
		return
	}
	i := 0
	for c.Worst.Share < steps[i].from {
		i++
	}
	ink := "#ffffff"
	if i < 4 {
		ink = "#000000"
	}
	d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%s</title></rect>`+"\n", x+1, y+1, cellWide-2, cellHigh-2, steps[i].fill, escape(c.describe()))
	d.text(x+cellWide/2, y+cellHigh/2+4, 12, "middle", ink, share(c.Worst.Share))
	if c.Missed {
		d.missed(x, y)
	}
	if len(c.Ahead) > 0 {
		d.ahead(x+cellWide-14, y+4, ink)
	}
}

// describe is what a browser shows over the cell.
func (c *cell) describe() string {
	return fmt.Sprintf("%v: %g Mbit/s, excess %.2f %%, reverse %.2f %%, ramp %g RTT, queue p95 %g ms", c, c.Median.GoodputMbit, c.Worst.Excess*100, c.Worst.Reverse*100, c.Worst.RampRTT, c.Worst.Queue95ms)
}

func (d *drawing) missed(x, y int) {
	d.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#d55e00" stroke-width="3"/>`+"\n", x+2, y+2, cellWide-4, cellHigh-4)
}

func (d *drawing) ahead(x, y int, ink string) {
	d.printf(`<path d="M%d %dh9l-4.5 -7z" transform="translate(0 7)" fill="%s"/>`+"\n", x, y, ink)
}

func (d *drawing) legend(x, y int, m *matrix) {
	for i, s := range steps {
		d.printf(`<rect x="%d" y="%d" width="%d" height="16" fill="%s"/>`+"\n", x+i*swatch, y, swatch, s.fill)
		d.text(x+i*swatch+2, y+31, 12, "start", "#444444", s.label)
	}
	y += 46
	if m.Bar > 0 {
		d.missed(x, y)
		d.text(x+cellWide+8, y+20, 12, "start", "#444444", fmt.Sprintf("missed the bar of %g", m.Bar))
		x += 260
	}
	if !isPeer(m.Subject) {
		d.ahead(x, y+12, "#000000")
		d.text(x+16, y+20, 12, "start", "#444444", "a model of TCP reached over 1 % more")
		x += 270
	}
	d.text(x, y+20, 12, "start", "#444444", "grey: not run")
}

// share writes a share with the digits that its size deserves.
func share(v float64) string {
	switch {
	case v >= 0.1:
		return fmt.Sprintf("%.3f", v)
	case v >= 0.0001 || v == 0:
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.0e", v)
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}
