package transfer

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// dirCache keeps folders open, because os.Root walks a name element by element. It holds up to
// maxOpenDirs, more only while more are in use; the longest unused is closed first. A folder held open is
// compared with what its name leads to every dirRecheck, so that one which was replaced is noticed; in one
// that was removed, making a file fails by itself.
type dirCache struct {
	open func(name string) (*os.Root, error)
	stat func(name string) (fs.FileInfo, error)

	mu   sync.Mutex // protects the rest
	tick uint64
	all  map[string]*dirRef
}

type dirRef struct {
	name    string
	root    *os.Root
	handle  folderHandle
	self    fs.FileInfo
	refs    int
	used    uint64
	checked time.Time
	dropped bool // no longer in the cache; closed when refs reaches 0
}

const (
	maxOpenDirs = 32
	dirRecheck  = time.Second
)

func (c *dirCache) get(name string) (*dirRef, error) {
	now := time.Now()
	if r := c.lookup(name, now); r != nil {
		return r, nil
	}
	root, err := c.open(name)
	if err != nil {
		return nil, err
	}
	self, err := root.Stat(".")
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	handle, err := openFolder(root)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.all[name]; r != nil { // another goroutine was faster
		_ = handle.close()
		_ = root.Close()
		r.refs++
		return r, nil
	}
	if c.all == nil {
		c.all = make(map[string]*dirRef)
	}
	r := &dirRef{name: name, root: root, handle: handle, self: self, refs: 1, used: c.tick, checked: now}
	c.all[name] = r
	for len(c.all) > maxOpenDirs {
		var old *dirRef
		for _, o := range c.all {
			if o.refs == 0 && (old == nil || o.used < old.used) {
				old = o
			}
		}
		if old == nil {
			break
		}
		c.dropLocked(old)
	}
	return r, nil
}

// lookup returns the cached folder, in use by the caller, or nil.
func (c *dirCache) lookup(name string, now time.Time) *dirRef {
	c.mu.Lock()
	c.tick++
	r := c.all[name]
	if r == nil {
		c.mu.Unlock()
		return nil
	}
	r.refs++
	r.used = c.tick
	fresh := now.Sub(r.checked) < dirRecheck
	c.mu.Unlock()
	if fresh {
		return r
	}
	fi, err := c.stat(name)
	same := err == nil && os.SameFile(fi, r.self)
	c.mu.Lock()
	r.checked = now
	c.mu.Unlock()
	if same {
		return r
	}
	c.put(r)
	c.drop(name)
	return nil
}

func (c *dirCache) put(r *dirRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.refs--
	if r.dropped && r.refs == 0 {
		r.close()
	}
}

// drop forgets the folder; users of it keep it until they are done.
func (c *dirCache) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.all[name]; r != nil {
		c.dropLocked(r)
	}
}

// dropBelow is drop for the folder and all below it: their names do not lead to them any more.
func (c *dirCache) dropBelow(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.all {
		if r.name == name || strings.HasPrefix(r.name, name+"/") {
			c.dropLocked(r)
		}
	}
}

func (c *dirCache) dropLocked(r *dirRef) {
	delete(c.all, r.name)
	r.dropped = true
	if r.refs == 0 {
		r.close()
	}
}

// close releases the folder, which was open for looking up names only.
func (r *dirRef) close() {
	_ = r.handle.close()
	_ = r.root.Close()
}

func (c *dirCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.all {
		c.dropLocked(r)
	}
}
