package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/internal/attr"
)

// Listings are asked for here and not by minio-go: its call for one page takes no context, and the one that does hides
// where a page ends.

// listResult is the answer to both versions of the request.
type listResult struct {
	XMLName      xml.Name `xml:"ListBucketResult"`
	IsTruncated  bool
	NextToken    string `xml:"NextContinuationToken"`
	NextMarker   string
	EncodingType string
	Contents     []struct {
		Key          string
		LastModified time.Time
		ETag         string
		Size         int64
		StorageClass string
		UserMetadata struct {
			Items []struct {
				XMLName xml.Name
				Value   string `xml:",chardata"`
			} `xml:",any"`
		}
	}
	CommonPrefixes []struct{ Prefix string }
}

// Tokens of our own say which version of the request they continue.
const (
	tokenV2    = "2:" // behind it the store's token
	tokenV1    = "1:" // a key
	tokenAfter = "a:" // a key, for the second version
)

// maxList is how many entries a store returns at most.
const maxList = 1000

// List returns a page of the objects below a prefix.
func (d *driver) List(ctx context.Context, o objstore.ListOptions) (objstore.Page, error) {
	ctx, c := d.call(ctx, "list", o.Prefix)
	invalid := func(text string) (objstore.Page, error) {
		return objstore.Page{}, &objstore.Error{Op: "list", Key: o.Prefix, Kind: objstore.Invalid, Err: errors.New(text)}
	}
	if o.Prefix != "" {
		if reason := badKey(o.Prefix); reason != "" {
			return invalid(reason)
		}
	}
	q := url.Values{"prefix": {o.Prefix}, "encoding-type": {"url"}, "max-keys": {strconv.Itoa(maxList)}}
	if o.Max > 0 && o.Max < maxList {
		// Asked for one key below a prefix that is a key itself, MinIO returns that one and says that there are no more.
		most := o.Max
		if d.cfg.Profile != AWS {
			most = max(most, 2)
		}
		q.Set("max-keys", strconv.Itoa(most))
	}
	if o.Delimited {
		q.Set("delimiter", "/")
	}
	v1 := d.cfg.Profile == ActiveArchive
	token, after := "", o.After
	if o.Token != "" {
		after = ""
		if t, ok := strings.CutPrefix(o.Token, tokenV2); ok {
			token = t
		} else if t, ok := strings.CutPrefix(o.Token, tokenV1); ok {
			after, v1 = t, true
		} else if t, ok := strings.CutPrefix(o.Token, tokenAfter); ok {
			after = t
		} else {
			return invalid("bad token")
		}
	}
	if v1 {
		if after != "" {
			q.Set("marker", after)
		}
	} else {
		q.Set("list-type", "2")
		if token != "" {
			q.Set("continuation-token", token)
		} else if after != "" {
			q.Set("start-after", after)
		}
	}
	attrs := d.cfg.Profile == MinIO && !v1 && !d.noListAttrs.Load()
	if attrs {
		q.Set("metadata", "true")
	}
	r, err := d.getList(ctx, q)
	if err != nil && attrs && unreadable(err) && ctx.Err() == nil {
		// Metadata comes as elements named by its keys, and not every key can be the name of an element.
		attrs = false
		q.Del("metadata")
		if r, err = d.getList(ctx, q); err == nil {
			d.noListAttrs.Store(true)
		}
	}
	if err != nil {
		return objstore.Page{}, c.fail(ctx, err)
	}
	page, err := r.page(o.Prefix, attrs, v1)
	if err != nil {
		return objstore.Page{}, &objstore.Error{Op: "list", Key: o.Prefix, Kind: objstore.Temporary, Err: err}
	}
	if o.Max > 0 && len(page.Objects) > o.Max {
		page.Objects = page.Objects[:o.Max]
		page.Next = tokenAfter + page.Objects[o.Max-1].Key
		if v1 {
			page.Next = tokenV1 + page.Objects[o.Max-1].Key
		}
	}
	if page.Next != "" && page.Next == o.Token {
		return objstore.Page{}, &objstore.Error{Op: "list", Key: o.Prefix, Kind: objstore.Temporary, Err: errors.New("the list does not go on")}
	}
	return page, nil
}

func unreadable(err error) bool {
	var syntax *xml.SyntaxError
	return errors.As(err, &syntax)
}

// page makes a Page of the answer.
func (r *listResult) page(prefix string, attrs, v1 bool) (objstore.Page, error) {
	var p objstore.Page
	decode := func(s string) (string, error) {
		if r.EncodingType != "url" {
			return s, nil
		}
		return url.QueryUnescape(s)
	}
	for _, e := range r.Contents {
		key, err := decode(e.Key)
		if err != nil {
			return p, fmt.Errorf("key in the list: %w", err)
		}
		obj := objstore.Object{Key: key, Size: e.Size, ETag: trimETag(e.ETag), Modified: e.LastModified.UTC(), Class: classOf(e.StorageClass)}
		if attrs {
			all := make(map[string]string)
			for _, m := range e.UserMetadata.Items {
				name := strings.ToLower(m.XMLName.Local)
				if k, ok := strings.CutPrefix(name, strings.ToLower(metaPrefix)); ok {
					all[k] = decodeValue(m.Value)
				} else if name == "content-type" {
					obj.Attr.ContentType = contentTypeOf(m.Value)
				}
			}
			obj.HasAttr = true
			obj.Attr.Mtime, obj.Attr.Btime, obj.Attr.Metadata = attr.Split(all)
		}
		p.Objects = append(p.Objects, obj)
	}
	for _, e := range r.CommonPrefixes {
		key, err := decode(e.Prefix)
		if err != nil {
			return p, fmt.Errorf("prefix in the list: %w", err)
		}
		p.Objects = append(p.Objects, objstore.Object{Key: key, Folder: true})
	}
	slices.SortFunc(p.Objects, func(a, b objstore.Object) int { return strings.Compare(a.Key, b.Key) })
	for _, o := range p.Objects {
		if !strings.HasPrefix(o.Key, prefix) {
			return p, errors.New("the list has keys of another prefix")
		}
	}
	switch {
	case !r.IsTruncated:
	case r.NextToken != "" && !v1:
		p.Next = tokenV2 + r.NextToken
	default:
		// The first version, asked for or not: it goes on behind a key, and names it only in delimited lists.
		marker, err := decode(r.NextMarker)
		if err != nil {
			return p, fmt.Errorf("marker of the list: %w", err)
		}
		if marker == "" && len(p.Objects) > 0 {
			marker = p.Objects[len(p.Objects)-1].Key
		}
		if marker == "" {
			return p, errors.New("the list is cut off and does not say where it goes on")
		}
		p.Next = tokenV1 + marker
	}
	return p, nil
}

// getList asks for a list of the bucket. Errors are those that minio-go would return.
func (d *driver) getList(ctx context.Context, q url.Values) (*listResult, error) {
	req, err := d.bucketRequest(ctx, q)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{
		Transport:     d.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errorOf(resp)
	}
	var r listResult
	if err := xml.NewDecoder(resp.Body).Decode(&r); err != nil {
		return nil, err
	}
	// What is left is read so that the connection can be used again; the list is whole without it.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return &r, nil
}

// bucketRequest returns a signed GET of the bucket.
func (d *driver) bucketRequest(ctx context.Context, q url.Values) (*http.Request, error) {
	region, err := d.core.GetBucketLocation(ctx, d.cfg.Bucket)
	if err != nil {
		return nil, err
	}
	if region == "" {
		region = "us-east-1"
	}
	host := d.core.EndpointURL().Host
	if d.cfg.Profile == AWS && strings.EqualFold(host, "s3.amazonaws.com") && region != "us-east-1" {
		host = "s3." + region + ".amazonaws.com"
	}
	for _, port := range []string{":443", ":80"} {
		if port == ":80" == d.cfg.Insecure {
			host = strings.TrimSuffix(host, port) // it would be signed, and servers compare without it
		}
	}
	target := d.scheme + "://" + host + "/" + d.cfg.Bucket + "/"
	if d.cfg.Addressing == HostStyle {
		target = d.scheme + "://" + d.cfg.Bucket + "." + host + "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target+"?"+s3utils.QueryEncode(q), nil)
	if err != nil {
		return nil, err
	}
	v, err := d.credentials(ctx)
	if err != nil {
		return nil, err
	}
	if v.SignerType == credentials.SignatureAnonymous {
		return req, nil
	}
	empty := sha256.Sum256(nil)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(empty[:]))
	return signer.SignV4(*req, v.AccessKeyID, v.SecretAccessKey, v.SessionToken, region), nil
}

// credentials returns those that are valid now, and returns early when ctx ends.
func (d *driver) credentials(ctx context.Context) (credentials.Value, error) {
	return d.creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: d.transport.base}, Context: ctx})
}

// errorOf reads the error document of an answer, or makes one up.
func errorOf(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	e := minio.ErrorResponse{StatusCode: resp.StatusCode}
	if xml.Unmarshal(text, &e) != nil {
		e = minio.ErrorResponse{StatusCode: resp.StatusCode, Code: resp.Status, Message: string(text)}
		if resp.StatusCode == http.StatusNotFound {
			e.Code = "NoSuchBucket"
		}
	}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Amz-Request-Id")
	}
	return e
}
