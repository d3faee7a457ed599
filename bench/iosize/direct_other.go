//go:build !linux

package main

import (
	"context"
	"errors"
)

func direct(context.Context, string, int64, int) error { return errors.New("-direct is for Linux") }

func dropCache(string) error { return errors.New("-cold is for Linux") }
