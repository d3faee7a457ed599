package fileids

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"io/fs"
	"net/http"
	"strings"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// item is what listings keep of an entry: less than a transfer.Info, since there may be many.
type item struct {
	name  string
	mode  fs.FileMode // its type
	size  int64       // of files
	mtime int64
}

// own makes the name i's own.
func (i *item) own() { i.name = strings.Clone(i.name) }

func itemOf(in *transfer.Info) item {
	i := item{name: in.Name, mode: in.Mode.Type(), mtime: in.Mtime}
	if in.Mode.IsRegular() {
		i.size = max(in.Size, 0)
	}
	return i
}

// order compares items; items of different names are never equal.
type order = func(a, b *item) int

// maxKeys is how many things an order goes by.
const maxKeys = 4

// orderOf reads an order such as "type,-size". Equal items go by name.
func orderOf(sort string) (order, error) {
	keys := map[string]order{
		"name":          func(a, b *item) int { return strings.Compare(a.name, b.name) },
		"type":          func(a, b *item) int { return cmp.Compare(kindOf(a.mode), kindOf(b.mode)) },
		"size":          func(a, b *item) int { return cmp.Compare(a.size, b.size) },
		"modified_time": func(a, b *item) int { return cmp.Compare(a.mtime, b.mtime) },
	}
	var by []order
	if sort != "" {
		for word := range strings.SplitSeq(sort, ",") {
			name, back := strings.CutPrefix(word, "-")
			key := keys[name]
			if key == nil || len(by) == maxKeys {
				return nil, api.Errorf(http.StatusBadRequest, `sort: want up to %d of name, type, size, modified_time, with commas between and "-" before what is to go down`, maxKeys)
			}
			if back {
				up := key
				key = func(a, b *item) int { return up(b, a) }
			}
			by = append(by, key)
		}
	}
	by = append(by, keys["name"])
	return func(a, b *item) int {
		for _, key := range by {
			if c := key(a, b); c != 0 {
				return c
			}
		}
		return 0
	}, nil
}

// An iteration token is the last item of a page and the order: version 1 in a byte, then the length of the order, the order, type bits of the mode, size and modification time as
// varints, and the name; all in base64url. It says where in a listing to go on and nothing else, so it is not authenticated: who may list a folder may begin anywhere in it.

const (
	tokenVersion = 1
	maxToken     = 4 << 10
	maxSort      = 64
	maxName      = 1024 // of a file in its folder; what the state store takes
)

var errToken = api.Errorf(http.StatusBadRequest, "the iteration_token is not one of this listing; begin again without it")

// token makes the token of a page that ends with last.
func token(sort string, last *item) string {
	b := []byte{tokenVersion}
	b = binary.AppendUvarint(b, uint64(len(sort)))
	b = append(b, sort...)
	b = binary.AppendUvarint(b, uint64(last.mode))
	b = binary.AppendVarint(b, last.size)
	b = binary.AppendVarint(b, last.mtime)
	return base64.RawURLEncoding.EncodeToString(append(b, last.name...))
}

// parseToken reads what token made for the same order, to the byte.
func parseToken(sort, text string) (last item, err error) {
	if len(text) > maxToken {
		return last, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 || b[0] != tokenVersion {
		return last, errToken
	}
	b = b[1:]
	var bad bool
	next := func(v int64, n int) int64 {
		if bad = bad || n <= 0; bad {
			return 0
		}
		b = b[n:]
		return v
	}
	unsigned := func() int64 {
		v, n := binary.Uvarint(b)
		return next(int64(v), n)
	}
	signed := func() int64 { return next(binary.Varint(b)) }
	n := unsigned()
	if bad || n < 0 || n > int64(len(b)) || string(b[:n]) != sort {
		return last, errToken
	}
	b = b[n:]
	last.mode, last.size, last.mtime = fs.FileMode(unsigned()), signed(), signed()
	last.name = string(b)
	// What is written in another way than token writes it is not ours. Base64 also passes over line ends.
	if bad || last.name == "" || len(last.name) > maxName || strings.Contains(last.name, "/") || last.size < 0 || last.mode != last.mode.Type() || token(sort, &last) != text {
		return item{}, errToken
	}
	return last, nil
}
