package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rate is a flag in bit/s: a number with an optional decimal suffix k, M or G.
type rate float64

func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }
func (r *rate) Type() string   { return "bit/s" }

func (r *rate) Set(s string) error {
	v, err := parseRate(s)
	if err == nil {
		*r = rate(v)
	}
	return err
}

func parseRate(s string) (float64, error) {
	number, unit := s, 1.0
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			unit = 1e3
		case 'm', 'M':
			unit = 1e6
		case 'g', 'G':
			unit = 1e9
		}
		if unit > 1 {
			number = s[:len(s)-1]
		}
	}
	v, err := parseNumber(number)
	if err != nil || v*unit > 1e15 {
		return 0, fmt.Errorf("rate %q: want bit/s from 0 to 1e15 such as 300M", s)
	}
	return v * unit, nil
}

// probability is a flag: a number from 0 to 1, or a percentage.
type probability float64

func (p *probability) String() string { return strconv.FormatFloat(float64(*p), 'g', -1, 64) }
func (p *probability) Type() string   { return "probability" }

func (p *probability) Set(s string) error {
	v, err := parseProbability(s)
	if err == nil {
		*p = probability(v)
	}
	return err
}

func parseProbability(s string) (float64, error) {
	number, percent := strings.CutSuffix(s, "%")
	v, err := parseNumber(number)
	if percent {
		v /= 100
	}
	if err != nil || v > 1 {
		return 0, fmt.Errorf("probability %q: want 0 to 1 or 0%% to 100%%", s)
	}
	return v, nil
}

// parseNumber reads a decimal number that is neither negative nor infinite.
func parseNumber(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, err
	}
	if !(v >= 0) || math.IsInf(v, 0) {
		return 0, strconv.ErrRange
	}
	return v, nil
}
