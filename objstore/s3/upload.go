package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/tradewind-io/tradewind/objstore"
)

// Begin begins a multipart upload.
func (d *driver) Begin(ctx context.Context, u objstore.Upload, o objstore.PutOptions) (objstore.Upload, error) {
	return d.begin(ctx, u, o, d.cfg.Checksum == CRC32C)
}

// begin begins an upload; with sums if its parts will come with CRC32C. Parts that are copied come without, and MinIO
// refuses to mix them.
func (d *driver) begin(ctx context.Context, u objstore.Upload, o objstore.PutOptions, sums bool) (objstore.Upload, error) {
	if err := d.checkNew("begin upload", u.Key, u.Size); err != nil {
		return u, err
	}
	o.IfAbsent = false // a matter of the end
	opts, err := d.putOptions("begin upload", u.Key, o)
	if err != nil {
		return u, err
	}
	if sums {
		opts.UserMetadata["X-Amz-Checksum-Algorithm"] = "CRC32C"
	}
	ctx, c := d.call(ctx, "begin upload", u.Key)
	id, err := d.core.NewMultipartUpload(ctx, d.cfg.Bucket, u.Key, opts)
	if err != nil {
		return u, c.fail(ctx, err)
	}
	if id == "" {
		return u, &objstore.Error{Op: "begin upload", Key: u.Key, Kind: objstore.Temporary, Err: errors.New("the store gave no upload id")}
	}
	u.ID = id
	return u, nil
}

// PutPart stores one part.
func (d *driver) PutPart(ctx context.Context, u objstore.Upload, p objstore.PartSpec, src *io.SectionReader) (objstore.Part, error) {
	op := fmt.Sprintf("put part %d", p.N)
	if err := checkKey(op, u.Key); err != nil {
		return objstore.Part{}, err
	}
	if p.N < 0 || p.N >= maxParts {
		return objstore.Part{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.Invalid, Err: fmt.Errorf("at most %d parts are possible", maxParts)}
	}
	ctx, c := d.call(ctx, op, u.Key)
	sum, err := d.checksum(ctx, src)
	if err != nil {
		return objstore.Part{}, c.fail(ctx, err)
	}
	h := make(http.Header)
	if sum.crc32c != "" {
		h.Set(crc32cHeader, sum.crc32c)
	}
	r, done := c.attach(src)
	defer done()
	part, err := d.core.PutObjectPart(ctx, d.cfg.Bucket, u.Key, u.ID, p.N+1, r, src.Size(), minio.PutObjectPartOptions{
		Md5Base64: sum.md5, Sha256Hex: sum.sha256, SSE: d.customer(), CustomHeader: h, DisableContentSha256: true,
	})
	if err != nil {
		return objstore.Part{}, c.fail(ctx, err)
	}
	if err := sum.compare(part.ChecksumCRC32C); err != nil {
		return objstore.Part{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.Corrupt, Err: err}
	}
	if part.ETag == "" {
		return objstore.Part{}, &objstore.Error{Op: op, Key: u.Key, Kind: objstore.Temporary, Err: errors.New("the store gave no ETag")}
	}
	return objstore.Part{N: p.N, Size: src.Size(), ETag: partETag(part.ETag, part.ChecksumCRC32C)}, nil
}

// sumMark stands between the store's ETag of a part and its CRC32C, which the store wants to see again at the end.
const sumMark = " crc32c="

func partETag(etag, crc32c string) string {
	etag = trimETag(etag)
	if crc32c != "" {
		etag += sumMark + crc32c
	}
	return etag
}

// Parts lists the parts that are stored.
func (d *driver) Parts(ctx context.Context, u objstore.Upload) ([]objstore.Part, error) {
	if err := checkKey("list parts", u.Key); err != nil {
		return nil, err
	}
	ctx, c := d.call(ctx, "list parts", u.Key)
	var parts []objstore.Part
	for marker := 0; ; {
		page, err := d.core.ListObjectParts(ctx, d.cfg.Bucket, u.Key, u.ID, marker, 1000)
		if err != nil {
			return nil, c.fail(ctx, err)
		}
		for _, p := range page.ObjectParts {
			if n := p.PartNumber - 1; n >= 0 && (len(parts) == 0 || n > parts[len(parts)-1].N) {
				parts = append(parts, objstore.Part{N: n, Size: p.Size, ETag: partETag(p.ETag, p.ChecksumCRC32C)})
			}
		}
		if !page.IsTruncated {
			return parts, nil
		}
		if page.NextPartNumberMarker <= marker {
			return nil, &objstore.Error{Op: "list parts", Key: u.Key, Kind: objstore.Temporary, Err: fmt.Errorf("page behind part %d leads to part %d", marker, page.NextPartNumberMarker)}
		}
		marker = page.NextPartNumberMarker
	}
}

// Complete makes the object out of its parts.
func (d *driver) Complete(ctx context.Context, u objstore.Upload, parts []objstore.Part, o objstore.PutOptions) (objstore.Object, error) {
	if err := checkKey("complete upload", u.Key); err != nil {
		return objstore.Object{}, err
	}
	list := make([]minio.CompletePart, len(parts))
	size := int64(0)
	for i, p := range parts {
		etag, crc32c, _ := strings.Cut(p.ETag, sumMark)
		list[i] = minio.CompletePart{PartNumber: p.N + 1, ETag: etag, ChecksumCRC32C: crc32c}
		size += p.Size
	}
	if err := d.lookFirst(ctx, "complete upload", u.Key, o.IfAbsent); err != nil {
		return objstore.Object{}, err
	}
	opts := minio.PutObjectOptions{ServerSideEncryption: d.customer()}
	if o.IfAbsent && d.ifAbsent() {
		opts.SetMatchETagExcept("*")
	}
	ctx, c := d.call(ctx, "complete upload", u.Key)
	c.exists = true
	info, err := d.core.CompleteMultipartUpload(ctx, d.cfg.Bucket, u.Key, u.ID, list, opts)
	if err != nil {
		err = c.fail(ctx, err)
		if objstore.KindOf(err) == objstore.BadPart {
			// Some stores say so of parts whose upload is gone.
			if _, listErr := d.core.ListObjectParts(ctx, d.cfg.Bucket, u.Key, u.ID, 0, 1); listErr != nil {
				if gone := c.fail(ctx, listErr); errors.Is(gone, objstore.ErrNoUpload) {
					err = gone
				}
			}
		}
		return objstore.Object{}, err
	}
	return d.taken(u.Key, size, info.ETag, c), nil
}

// Abort removes an upload and its parts.
func (d *driver) Abort(ctx context.Context, u objstore.Upload) error {
	if err := checkKey("abort upload", u.Key); err != nil {
		return err
	}
	ctx, c := d.call(ctx, "abort upload", u.Key)
	err := d.core.AbortMultipartUpload(ctx, d.cfg.Bucket, u.Key, u.ID)
	if err == nil {
		return nil
	}
	if err = c.fail(ctx, err); errors.Is(err, objstore.ErrNoUpload) {
		return nil
	}
	return err
}

// Uploads lists open uploads.
func (d *driver) Uploads(ctx context.Context, prefix, token string) ([]objstore.UploadInfo, string, error) {
	list, next, err := d.uploadsPage(ctx, prefix, prefix, token)
	if err != nil || d.cfg.Profile != MinIO || prefix == "" || token != "" || next != "" {
		return list, next, err
	}
	// MinIO finds the uploads of the key that a prefix is, or all that it remembers if there is none, in one page.
	all, _, err := d.uploadsPage(ctx, "", prefix, "")
	if err != nil {
		return nil, "", err
	}
	known := make(map[string]bool, len(list))
	for _, u := range list {
		known[u.ID] = true
	}
	for _, u := range all {
		if !known[u.ID] {
			list = append(list, u)
		}
	}
	return list, "", nil
}

// uploadsPage asks for the uploads below a prefix and returns those with the prefix that is wanted.
func (d *driver) uploadsPage(ctx context.Context, ask, want, token string) ([]objstore.UploadInfo, string, error) {
	fail := func(kind objstore.Kind, err error) ([]objstore.UploadInfo, string, error) {
		return nil, "", &objstore.Error{Op: "list uploads", Key: want, Kind: kind, Err: err}
	}
	marker, err := url.ParseQuery(token)
	if err != nil {
		return fail(objstore.Invalid, errors.New("bad token"))
	}
	ctx, c := d.call(ctx, "list uploads", want)
	page, err := d.core.ListMultipartUploads(ctx, d.cfg.Bucket, ask, marker.Get("key"), marker.Get("id"), "", maxList)
	if err != nil {
		return nil, "", c.fail(ctx, err)
	}
	var list []objstore.UploadInfo
	for _, u := range page.Uploads {
		if strings.HasPrefix(u.Key, want) {
			list = append(list, objstore.UploadInfo{Key: u.Key, ID: u.UploadID, Begun: u.Initiated})
		}
	}
	if !page.IsTruncated {
		return list, "", nil
	}
	next := url.Values{"key": {page.NextKeyMarker}, "id": {page.NextUploadIDMarker}}.Encode()
	if page.NextKeyMarker == "" || next == token {
		return fail(objstore.Temporary, errors.New("the list does not go on"))
	}
	return list, next, nil
}
