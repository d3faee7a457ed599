package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tiny is a grid that takes a moment.
var tiny = grid{rates: []float64{1e6, 2e6}, above: []float64{3e6}, rtts: []int{10, 40}, losses: []float64{0, 1, 20}, corners: []float64{0}}

func TestPlan(t *testing.T) {
	s, err := subjectOf("fixed")
	require.NoError(t, err)
	cells := tiny.cells(s, 3, 1)
	require.Len(t, cells, 2*2*3+2)
	require.Equal(t, 14+2*4, runs(cells), "the four corners have three seeds")
	cells = wide.cells(s, 3, 1)
	require.Len(t, cells, 4*6*8+2*2*4)
	_, err = subjectOf("swift")
	require.Error(t, err)
}

// A run writes what it found, and a later one finds where a TCP was ahead.
func TestResults(t *testing.T) {
	dir := t.TempDir()
	result := func(name string) *matrix {
		s, err := subjectOf(name)
		require.NoError(t, err)
		m := &matrix{Command: "test", At: "<today>", Subject: name, Bar: s.bar, Cells: tiny.cells(s, 2, 1)}
		require.NoError(t, measure(t.Context(), m.Cells, 2))
		m.judge(filepath.Join(dir, "matrix-%s.json"))
		require.NoError(t, m.write(filepath.Join(dir, "matrix-"+name+".json")))
		return m
	}
	peer := result("cubic")
	require.Less(t, peer.find(2, 40, 20).Median.Share, 0.5)
	m := result("fixed")
	require.False(t, m.find(2, 40, 20).Missed)
	require.Empty(t, m.find(2, 40, 20).Ahead)
	require.Greater(t, m.find(2, 40, 20).Median.Share, 0.97)
	require.Len(t, m.find(1, 10, 0).Runs, 2)

	peer.find(2, 40, 20).Median.GoodputMbit = 3
	require.NoError(t, peer.write(filepath.Join(dir, "matrix-cubic.json")))
	m.Bar = 1
	m.judge(filepath.Join(dir, "matrix-%s.json"))
	require.Equal(t, []string{"cubic"}, m.find(2, 40, 20).Ahead)
	var out bytes.Buffer
	m.print(&out)
	require.Contains(t, out.String(), "MISSED 2 Mbit/s, 40 ms, 20 %")

	b, err := os.ReadFile(filepath.Join(dir, "matrix-fixed.json"))
	require.NoError(t, err)
	var back matrix
	require.NoError(t, json.Unmarshal(b, &back))
	require.Len(t, back.Cells, len(m.Cells))

	picture := heatMap(m)
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	require.Contains(t, picture, "&lt;today&gt;")
	require.Contains(t, picture, "missed the bar of 1")
}

func TestDigits(t *testing.T) {
	require.InDelta(t, 0.9877, digits(0.98765), 1e-12)
	require.InDelta(t, 12350, digits(12345), 1e-9)
	require.Zero(t, digits(0))
}

func TestFlags(t *testing.T) {
	var out, diag bytes.Buffer
	require.Equal(t, 2, run(t.Context(), []string{"-nonsense"}, &out, &diag))
	require.Equal(t, 1, run(t.Context(), []string{"-policy", "swift", "-at", "x"}, &out, &diag))
	require.Contains(t, diag.String(), `there is no "swift"`)
}
