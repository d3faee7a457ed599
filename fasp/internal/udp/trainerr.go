package udp

import "errors"

// trainErrors collects at most one error per train for one WriteTrains. The
// zero value is ready; it allocates only when there is something to say.
type trainErrors struct {
	errs []error
	last int // train of the newest error
}

// add records err for a train unless that train has one already. Trains come in
// rising order.
func (e *trainErrors) add(train int, err error) {
	if len(e.errs) > 0 && e.last == train {
		return
	}
	e.errs, e.last = append(e.errs, err), train
}

// err returns nil, the only error, or all of them joined.
func (e *trainErrors) err() error {
	if len(e.errs) == 1 {
		return e.errs[0]
	}
	return errors.Join(e.errs...)
}
