package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/tradewind-io/tradewind/objstore"
)

// serverError is what the store answered, cleaned of secrets.
type serverError struct {
	Code    string
	Message string
	Status  int
	Request string // the store's id of the request
}

// Error says code, message, status and request.
func (e *serverError) Error() string {
	s := e.Code
	if e.Message != "" && e.Message != e.Code {
		s += ": " + e.Message
	}
	if e.Status != 0 {
		s += " (HTTP " + strconv.Itoa(e.Status)
		if e.Request != "" {
			s += ", request " + e.Request
		}
		s += ")"
	}
	return s
}

// sourceError is a failure to read what is to be stored.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "read what is to be stored: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// fail makes an *objstore.Error of what minio-go returned.
func (c *call) fail(ctx context.Context, err error) error {
	e := &objstore.Error{Op: c.op, Key: c.key, Err: err}
	if c.body != nil {
		if own := c.body.end(); own != nil {
			e.Err = &sourceError{own}
			return e
		}
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
		return e
	}
	var answer minio.ErrorResponse
	switch {
	case c.credErr != nil:
		c.credentialsFailed(e, c.credErr)
	case c.netErr != nil:
		networkFailed(e, c.netErr)
	case errors.As(err, &answer):
		c.refused(ctx, e, answer)
	default:
		c.otherwise(e, err)
	}
	return e
}

// otherwise is for errors that are neither the store's answer nor the network's.
func (c *call) otherwise(e *objstore.Error, err error) {
	var cred *credentialsError
	var syntax *xml.SyntaxError
	var sts credentials.ErrorResponse
	var source *sourceError
	switch {
	case errors.As(err, &source):
		e.Err = source
	case errors.As(err, &cred):
		c.credentialsFailed(e, cred.err)
	case errors.As(err, &sts):
		c.credentialsFailed(e, sts)
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Kind, e.Err = objstore.Temporary, fmt.Errorf("the answer is cut off or no XML: %w", err)
	default:
		e.Kind, e.Err = objstore.Other, errors.New(c.clean(err.Error()))
	}
}

// credentialsFailed is for credentials that could not be had.
func (c *call) credentialsFailed(e *objstore.Error, err error) {
	var sts credentials.ErrorResponse
	var netErr *url.Error // not net.Error, which the errors of files satisfy too
	switch {
	case errors.As(err, &sts):
		e.Kind = kindOfCode(sts.STSError.Code)
		if e.Kind == objstore.Other || e.Kind == objstore.Denied {
			e.Kind = objstore.Auth
		}
		err = &serverError{Code: sts.STSError.Code, Message: c.clean(sts.STSError.Message), Request: sts.RequestID}
	case errors.As(err, &netErr):
		networkFailed(e, err)
		err = e.Err
	default:
		e.Kind = objstore.Auth
	}
	e.Err = fmt.Errorf("get credentials: %w", err)
	if e.Kind == objstore.Auth {
		e.Hint = "check where the credentials come from"
	}
}

// networkFailed is for requests that got no answer.
func networkFailed(e *objstore.Error, err error) {
	var outer *url.Error
	for errors.As(err, &outer) {
		err = outer.Err // without the URL, which has nothing to say that Op and Key do not
	}
	e.Kind, e.Err = objstore.Temporary, err
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Kind, e.Hint = objstore.Other, "check the name of the endpoint"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		e.Kind, e.Hint = objstore.Other, "the store's certificate is not one that is trusted here for this name"
	// Behind the first record it is a change on the way.
	case errors.As(err, &record) && strings.HasPrefix(record.Msg, "first record"), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Kind, e.Hint = objstore.Other, "the endpoint speaks no TLS; insecure=true asks for plain HTTP"
	}
}

// refused is for answers of the store.
func (c *call) refused(ctx context.Context, e *objstore.Error, a minio.ErrorResponse) {
	status := a.StatusCode
	if status == 0 {
		status = c.status
	}
	cause := &serverError{Code: c.clean(a.Code), Message: c.clean(a.Message), Status: status, Request: c.clean(a.RequestID)}
	if a.RequestID == "minio" {
		cause.Status, cause.Request = 0, "" // refused by minio-go, before it asked
	}
	e.Err = cause
	e.Kind = kindOfCode(a.Code)
	if e.Kind == objstore.Other {
		e.Kind = kindOfStatus(status)
	}
	e.After = retryAfter(c.answer, time.Now())
	switch {
	case a.Code == "NoSuchBucket":
		e.Key = ""
		e.Hint = fmt.Sprintf("there is no bucket %q at %s, or not in this region", c.d.cfg.Bucket, c.d.cfg.Endpoint)
	case (a.Code == "PreconditionFailed" || status == http.StatusPreconditionFailed) && c.exists:
		e.Kind = objstore.Exists
	case a.Code == "InvalidObjectState":
		e.Hint = "the object is in an archive; restore it first"
	case a.Code == "AuthorizationHeaderMalformed" || a.Code == "PermanentRedirect" || a.Code == "TemporaryRedirect" || status/100 == 3:
		e.Hint = "the bucket is in another region or behind another endpoint"
		if a.Region != "" {
			e.Hint += ": region " + strconv.Quote(c.clean(a.Region))
		}
	case expired(a.Code):
		if c.renewed(ctx) {
			e.Kind, e.Hint = objstore.Temporary, "the credentials had expired, and new ones are there"
		} else {
			e.Hint = "the credentials have expired: get new ones"
		}
	case a.Code == "AccessDenied" && c.op == "stat":
		e.Hint = "the credentials may not read this, or it is not there and they may not list the bucket"
	case a.Code == "NotImplemented" && strings.Contains(a.Message, "implies functionality"):
		e.Hint = "an option such as the storage class, SSE or the checksum is more than this store can do"
	case a.Code == "XMinioServerNotInitialized":
		e.Hint = "the store is starting"
	}
}

func expired(code string) bool {
	return code == "ExpiredToken" || code == "ExpiredTokenException" || code == "TokenRefreshRequired"
}

// renewed says whether there are credentials now that differ from those that the store called expired.
func (c *call) renewed(ctx context.Context) bool {
	if !c.d.renewable {
		return false
	}
	was := usedCredentials(c.sent)
	differ := func() bool {
		v, err := c.d.creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: c.d.transport.base}, Context: ctx})
		return err == nil && (v.AccessKeyID != was.AccessKeyID || v.SessionToken != was.SessionToken)
	}
	if differ() {
		return true // another call was faster
	}
	c.d.creds.Expire()
	return differ()
}

// usedCredentials returns the public parts of the credentials that signed a request.
func usedCredentials(h http.Header) (v credentials.Value) {
	_, rest, _ := strings.Cut(h.Get("Authorization"), "Credential=")
	v.AccessKeyID, _, _ = strings.Cut(rest, "/")
	v.SessionToken = h.Get("X-Amz-Security-Token")
	return v
}

// kindOfCode returns the Kind of an error code, or Other if the code says nothing that its status does not.
func kindOfCode(code string) objstore.Kind {
	switch code {
	case "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchObject":
		return objstore.NotFound
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidObjectState", "InvalidPayer", "NotSignedUp", "KMS.DisabledException", "ObjectLocked":
		return objstore.Denied
	case "SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidClientTokenId",
		"InvalidSecurity", "MissingSecurityHeader", "MissingAuthenticationToken", "MissingSecurityElement", "AuthorizationHeaderMalformed", "CredentialsNotSupported",
		"InvalidIdentityToken", "IDPRejectedClaim":
		return objstore.Auth
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return objstore.Clock
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestThrottled", "RequestLimitExceeded",
		"TooManyRequests", "BandwidthLimitExceeded", "Busy":
		return objstore.Busy
	case "InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException", "IncompleteBody", "OperationAborted", "ConditionalRequestConflict",
		"XMinioServerNotInitialized", "XMinioBackendDown", "IDPCommunicationError":
		return objstore.Temporary
	case "InvalidPart", "InvalidPartOrder":
		return objstore.BadPart
	case "NoSuchUpload":
		return objstore.NoUpload
	case "PreconditionFailed":
		return objstore.Changed
	case "InvalidRange":
		return objstore.Range
	case "EntityTooLarge", "EntityTooSmall", "InvalidArgument", "InvalidRequest", "InvalidDigest", "InvalidBucketName", "InvalidStorageClass", "InvalidURI",
		"KeyTooLongError", "KeyTooLong", "MalformedXML", "MetadataTooLarge", "MaxMessageLengthExceeded", "RequestHeaderSectionTooLarge", "InvalidObjectName",
		"InvalidEncryptionAlgorithmError", "InvalidRegion", "IllegalLocationConstraintException", "XMinioInvalidObjectName", "XMinioInvalidResourceName", "XMinioObjectExistsAsDirectory", "DirectoryObjectContainsData",
		"XMinioParentIsObject", "ObjectParentIsFile", "ExistingObjectIsDirectory", "MissingContentLength", "PermanentRedirect", "TemporaryRedirect":
		return objstore.Invalid
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "ServiceQuotaExceeded":
		return objstore.Full
	case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return objstore.Corrupt
	case "NotImplemented", "APINotSupported", "MethodNotAllowed", "KMSNotConfigured":
		return objstore.Unsupported
	}
	return objstore.Other
}

func kindOfStatus(status int) objstore.Kind {
	switch status {
	case http.StatusUnauthorized:
		return objstore.Auth
	case http.StatusForbidden:
		return objstore.Denied
	case http.StatusNotFound:
		return objstore.NotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return objstore.Unsupported
	case http.StatusRequestTimeout, http.StatusConflict, 499:
		return objstore.Temporary
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return objstore.Changed
	case http.StatusRequestedRangeNotSatisfiable:
		return objstore.Range
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return objstore.Invalid
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 509:
		return objstore.Busy
	case http.StatusInsufficientStorage:
		return objstore.Full
	}
	switch status / 100 {
	case 2, 5: // a success whose body was no success is an answer that went wrong
		return objstore.Temporary
	case 3:
		return objstore.Invalid
	}
	return objstore.Other
}

// maxAfter bounds what a store may ask for.
const maxAfter = 5 * time.Minute

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := h.Get("Retry-After")
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxAfter)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), maxAfter)
	}
	return 0
}

// secretHeaders are those whose values no error may repeat, whatever a store or a proxy writes into its answer.
var secretHeaders = [...]string{
	"Authorization", "X-Amz-Security-Token", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key", "Cookie",
}

// maxText bounds what an error repeats of an answer.
const maxText = 300

// clean returns text of the store as an error may show it: without secrets of the request, on one line, and short.
func (c *call) clean(s string) string {
	for _, name := range secretHeaders {
		if v := c.sent.Get(name); v != "" {
			s = strings.ReplaceAll(s, v, "[redacted]")
			if _, signature, ok := strings.Cut(v, "Signature="); ok {
				s = strings.ReplaceAll(s, signature, "[redacted]")
			}
			if _, token, ok := strings.Cut(v, "Bearer "); ok {
				s = strings.ReplaceAll(s, token, "[redacted]")
			}
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		n := maxText
		for !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	return s
}
