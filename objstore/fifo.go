package objstore

// fifo is a map that forgets what was put into it first when it holds more than its bound.
type fifo[K comparable, V any] struct {
	most  int
	m     map[K]V
	order []K // of m, oldest first
}

func newFIFO[K comparable, V any](most int) fifo[K, V] { return fifo[K, V]{most: most, m: map[K]V{}} }

func (f *fifo[K, V]) get(k K) (V, bool) {
	v, ok := f.m[k]
	return v, ok
}

func (f *fifo[K, V]) put(k K, v V) {
	if _, ok := f.m[k]; !ok {
		f.order = append(f.order, k)
	}
	f.m[k] = v
	if len(f.m) > f.most {
		delete(f.m, f.order[0])
		f.order = f.order[1:]
	}
}

// remove takes time in proportion to the bound.
func (f *fifo[K, V]) remove(k K) {
	if _, ok := f.m[k]; !ok {
		return
	}
	delete(f.m, k)
	for i, o := range f.order {
		if o == k {
			f.order = append(f.order[:i], f.order[i+1:]...)
			return
		}
	}
}
