package twnode

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columns prints rows of cells below each other. What comes later, when the rest has been read, stands where the first rows stood, unless a cell is wider than all before it. The zero value is ready.
type columns struct {
	rows   [][]string
	widths []int
}

func (c *columns) add(cells ...any) {
	row := make([]string, len(cells))
	for i, x := range cells {
		row[i] = fmt.Sprint(x)
		if len(c.widths) == i {
			c.widths = append(c.widths, 0)
		}
		c.widths[i] = max(c.widths[i], utf8.RuneCountInString(row[i]))
	}
	c.rows = append(c.rows, row)
}

// flush writes what was added since the last time.
func (c *columns) flush(w io.Writer) error {
	var b strings.Builder
	for _, row := range c.rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", c.widths[i]-utf8.RuneCountInString(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	c.rows = nil
	_, err := io.WriteString(w, b.String())
	return err
}
