package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tradewind-io/tradewind/objstore"
)

// controlNote is the first line of the object KEY.tradewind-upload that stands beside an upload which is open
// (docs/protocol-transfer.md section 29.4). The checkpoint, if there is one yet, follows the newline.
type controlNote struct {
	Format int             `json:"tradewind-upload"`
	Upload objstore.Upload `json:"upload"`
	Block  int             `json:"block"`
}

const (
	controlFormat = 1
	maxControl    = 64 << 10 // bytes of the first line
)

func (c *controlNote) encode(checkpoint []byte) ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return append(append(b, '\n'), checkpoint...), nil
}

func decodeControl(b []byte) (*controlNote, []byte, error) {
	line, rest, ok := bytes.Cut(b, []byte{'\n'})
	if !ok || len(line) > maxControl {
		return nil, nil, errCheckpoint
	}
	c := new(controlNote)
	if err := json.Unmarshal(line, c); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	if c.Format != controlFormat || c.Upload.ID == "" || !c.Upload.Plan.Valid() || c.Block <= 0 ||
		!validBlockSize(uint64(c.Block)) || c.Upload.Plan.First%int64(c.Block) != 0 || c.Upload.Size < 0 {
		return nil, nil, errCheckpoint
	}
	return c, rest, nil
}

// saveControl writes the control object of the upload w.
func (t *bucketTarget) saveControl(ctx context.Context, w *objstore.Writer, checkpoint []byte) error {
	if t.attr.Size < 0 || !t.s.b.Caps().Resume {
		return nil // a stream cannot be sent again
	}
	b, err := (&controlNote{Format: controlFormat, Upload: w.Upload(), Block: t.attr.Block}).encode(checkpoint)
	if err != nil {
		return err
	}
	_, err = t.s.b.Put(ctx, t.key+objstore.UploadSuffix, bytes.NewReader(b), int64(len(b)), objstore.PutOptions{})
	return err
}

func (t *bucketTarget) dropControl(ctx context.Context) error {
	if t.attr.Size < 0 || !t.s.b.Caps().Resume {
		return nil
	}
	return t.s.b.Delete(ctx, t.key+objstore.UploadSuffix)
}

// resume takes up the upload that an earlier target left, if there is one that fits. What does not fit, or is not sound,
// is as good as nothing; the upload it names is removed with the next Reset or by the clean-up.
func (t *bucketTarget) resume(ctx context.Context) error {
	b, _, err := t.s.b.Get(ctx, t.key+objstore.UploadSuffix, maxState)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	c, checkpoint, err := decodeControl(b)
	if err != nil || c.Upload.Key != t.key {
		return nil
	}
	w, err := t.s.b.Resume(ctx, c.Upload, objstore.PutOptions{Attr: objectAttr(t.attr)})
	switch {
	case errors.Is(err, objstore.ErrNoUpload):
		return nil // completed or removed; the object stays until it is written again
	case err != nil:
		return err
	}
	if c.Upload.Size != t.attr.Size || c.Block != t.attr.Block {
		return errors.Join(w.Abort(ctx), t.dropControl(ctx)) // of another file
	}
	t.w, t.plan, t.saved = w, c.Upload.Plan, checkpoint
	for _, p := range w.Parts() {
		t.had += p.Size
	}
	t.had = max(t.had, 1) // an upload without parts is something left, too
	return nil
}

// State implements Target.
func (t *bucketTarget) State(context.Context) ([]byte, error) {
	if len(t.saved) == 0 {
		return nil, nil
	}
	return t.saved, nil
}

// SaveState implements Target. Before there is an upload there is nothing to go on with.
func (t *bucketTarget) SaveState(ctx context.Context, b []byte) error {
	t.mu.Lock()
	w := t.w
	t.mu.Unlock()
	if w == nil {
		return nil
	}
	return t.saveControl(ctx, w, b)
}
