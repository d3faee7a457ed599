//go:build !linux

package fasp

import "time"

type fineTimer struct{ fired chan struct{} }

func newFineTimer() *fineTimer { return nil }

func (*fineTimer) set(time.Duration) bool { return false }

func (*fineTimer) close() {}
