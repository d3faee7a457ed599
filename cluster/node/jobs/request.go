package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

const (
	defaultPort = 33001
	maxWaiting  = 200      // jobs of one key that wait or are paused
	maxPath     = 512      // bytes that are shown of a path
	maxShown    = 64 << 10 // bytes of all that a transfer is shown with, of which a list has up to a thousand
)

// newID returns a random id in the usual form.
func newID() string { return uuid.NewString() }

// sealLabel binds a sealed specification to its job.
func sealLabel(id string) string { return "tw-job-1\x00" + id }

// Create takes a job for what g allows: a transfer specification in JSON. It returns when the job is durable; it begins by itself. The error is an *api.Error if the caller is to blame.
func (m *Manager) Create(ctx context.Context, g accesskey.Grant, raw []byte) (api.Transfer, error) {
	spec, extra, err := readSpec(raw)
	if err != nil {
		return api.Transfer{}, err
	}
	if err := allowed(g, &spec); err != nil {
		return api.Transfer{}, err
	}
	if n, err := m.waiting(ctx, g.KeyID); err != nil {
		return api.Transfer{}, err
	} else if n >= maxWaiting {
		return api.Transfer{}, api.Errorf(http.StatusTooManyRequests, "%d transfers of this access key wait already; ask again when some have begun", n)
	}
	id := newID()
	doc := jobDoc{Initiator: initiatorNode, Spec: startSpec(&spec, g), KeyMade: usec(g.Created), MaxTries: m.cfg.MaxTries}
	if doc.UsageID, err = api.UsageID(spec.Tags); err != nil {
		return api.Transfer{}, err
	}
	if extra.Retries >= 0 {
		doc.MaxTries = min(doc.MaxTries, 1+extra.Retries)
	}
	for _, n := range extra.Notes {
		doc.Notes = append(doc.Notes, api.Note(n))
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return api.Transfer{}, err
	}
	if len(b) > maxShown {
		return api.Transfer{}, api.Errorf(http.StatusBadRequest, "tags, cookie, title and the other texts that a transfer is shown with have more than %d bytes together", maxShown)
	}
	j := state.Job{ID: id, Tenant: g.Tenant, Key: g.KeyID, Status: string(api.Waiting), NextTry: m.now(), Doc: b}
	sealed := m.cfg.Master.Seal(sealLabel(id), raw)
	err = m.cfg.State.Update(ctx, func(tx *state.Tx) error {
		var err error
		if j, err = tx.CreateJob(ctx, j); err != nil {
			return err
		}
		return tx.SetJobSpec(ctx, id, sealed)
	})
	if err != nil {
		return api.Transfer{}, err
	}
	m.log.Info("job taken", "job", id, "key", g.KeyID, "direction", spec.Direction.String(), "host", spec.Host)
	m.look()
	s := stored{row: j, doc: doc}
	return m.view(&s), nil
}

// spec is the specification of a job. Errors: state.ErrNotFound if the job is over.
func (m *Manager) spec(ctx context.Context, id string) (transfer.Spec, transfer.SpecExtra, error) {
	sealed, err := m.cfg.State.JobSpec(ctx, id)
	if err != nil {
		return transfer.Spec{}, transfer.SpecExtra{}, err
	}
	raw, err := m.cfg.Master.Open(sealLabel(id), sealed)
	if err != nil {
		return transfer.Spec{}, transfer.SpecExtra{}, fmt.Errorf("the specification of job %s: %w", id, err)
	}
	return readSpec(raw)
}

// waiting counts jobs of a key that wait, up to maxWaiting.
func (m *Manager) waiting(ctx context.Context, key string) (int, error) {
	n := 0
	for _, status := range []api.TransferStatus{api.Waiting, api.Paused} {
		some, err := m.cfg.State.CountJobs(ctx, state.JobFilter{Key: key, Status: string(status)}, maxWaiting)
		if err != nil {
			return n, err
		}
		n += some
	}
	return n, nil
}

// readSpec reads and checks a specification.
func readSpec(raw []byte) (transfer.Spec, transfer.SpecExtra, error) {
	bad := func(err error) (transfer.Spec, transfer.SpecExtra, error) {
		var te *transfer.Error
		if errors.As(err, &te) && te.Err != nil {
			err = te.Err
		}
		return transfer.Spec{}, transfer.SpecExtra{}, api.Errorf(http.StatusBadRequest, "%s", err)
	}
	s, extra, err := transfer.ReadSpec(raw)
	if err != nil {
		return bad(err)
	}
	if s.Port == 0 {
		s.Port = defaultPort
	}
	if s.Destination == "" {
		s.Destination = "/"
	}
	switch {
	case s.Host == "":
		return bad(errors.New("remote_host is missing: the node that the files go to or come from"))
	case s.Port < 1 || s.Port > 65535:
		return bad(fmt.Errorf("fasp_port %d: ports go from 1 to 65535", s.Port))
	case s.Token == "":
		return bad(errors.New(`token is missing: what the other node is to be shown, such as "Basic " and the base64 form of id:secret of an access key there`))
	}
	if _, err := accesskey.ParseOpener(s.Token); err != nil {
		return bad(fmt.Errorf("token: %w", err))
	}
	if err := s.Check(); err != nil {
		return bad(err)
	}
	// Paths here are below the key's place.
	local := []*string{&s.Destination}
	if s.Direction == transfer.Send {
		local = local[:0]
		for i := range s.Paths {
			local = append(local, &s.Paths[i].Source)
		}
	}
	for _, p := range local {
		for el := range strings.SplitSeq(*p, "/") {
			if el == ".." {
				return bad(fmt.Errorf("path %q leads out of the access key's place", *p))
			}
		}
		slash := strings.HasSuffix(*p, "/")
		if *p = strings.TrimPrefix(path.Clean("/"+*p), "/"); *p == "" {
			*p = "."
		} else if slash {
			*p += "/"
		}
	}
	return s, extra, nil
}

// allowed says whether a grant covers a job, and makes the job keep to it.
func allowed(g accesskey.Grant, s *transfer.Spec) error {
	switch {
	case g.Direction != accesskey.Both || g.Within != nil:
		return api.Errorf(http.StatusForbidden, "a transfer token is for one transfer by its holder, not for jobs of the node")
	case s.Direction == transfer.Send && !(g.Rights.Read && g.Rights.List):
		return api.Errorf(http.StatusForbidden, "the access key may not read and list, which sending needs")
	case s.Direction == transfer.Receive && !g.Rights.Write:
		return api.Errorf(http.StatusForbidden, "the access key may not write")
	}
	if s.Direction == transfer.Receive && !g.Rights.Delete {
		s.Overwrite = transfer.OverwriteNever
	}
	return nil
}

func startSpec(s *transfer.Spec, g accesskey.Grant) api.StartSpec {
	v := api.StartSpec{
		Direction: s.Direction.String(), SourcePaths: []string{}, DestinationPath: s.Destination, RemoteHost: s.Host, RemoteUser: s.User, FaspPort: s.Port,
		RatePolicy: s.Rates.Policy.String(), TargetRate: int64(s.Rates.Target / fasp.Kbps), MinRate: int64(s.Rates.Min / fasp.Kbps), Cipher: s.Cipher, CreateDir: s.CreateDir,
		Overwrite: s.Overwrite.String(), Resume: s.Resume.String(), Cookie: s.Cookie, Title: s.Title, Tags: s.Tags, AccessKey: g.KeyID, Initiator: initiatorNode,
		TokenType: tokenType(s.Token),
	}
	const most = 20 // a list may have thousands
	for _, p := range s.Paths[:min(len(s.Paths), most)] {
		v.SourcePaths = append(v.SourcePaths, shownPath(p.Source))
	}
	return v
}

// shownPath is what is shown of a path.
func shownPath(p string) string { return strings.ToValidUTF8(p[:min(len(p), maxPath)], "") }

func tokenType(token string) string {
	switch scheme, _, _ := strings.Cut(strings.TrimSpace(token), " "); {
	case token == "":
		return "unset"
	case strings.EqualFold(scheme, "basic"):
		return "basic_token"
	case strings.EqualFold(scheme, "bearer"):
		return "bearer_token"
	}
	return "auth_token"
}

// backoff is how long a job waits after its n-th try, from 1.
func (m *Manager) backoff(n int) time.Duration {
	d := m.cfg.RetryWait
	for range min(n-1, 10) {
		d *= 2
	}
	return min(d, time.Hour)
}
