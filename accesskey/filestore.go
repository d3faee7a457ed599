package accesskey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// FileStore is a Store in one JSON file of a state folder, keys.json, beside the key that seals the verifiers in it, master.key. Both have
// mode 0600. The file is replaced as a whole and synced, so a crash leaves the old or the new one. Several processes may use the same
// folder: writers take turns by a lock file, and readers see what others wrote.
//
// Fields of the file that this version does not know are kept as they are.
type FileStore struct {
	dir    string
	master Master

	mu   sync.RWMutex // guards what follows
	seen fs.FileInfo  // of the file that keys came from; nil if there was none
	file keyFile
	keys map[string]Key
}

const (
	keysName   = "keys.json"
	masterName = "master.key"
	lockName   = "keys.lock"
	maxKeyFile = 256 << 20 // bytes
)

// OpenFileStore opens the store in the folder dir, which must exist; the files are made when they are needed first. Errors: ErrCorrupt if
// a file is damaged or the two do not belong together.
func OpenFileStore(dir string) (*FileStore, error) {
	s := &FileStore{dir: dir}
	unlock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock the access keys: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, masterName)); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, keysName)); err == nil {
			return nil, fmt.Errorf("%s: the master key that %s is sealed with is missing: %w", filepath.Join(dir, masterName), keysName, ErrCorrupt)
		}
	}
	if s.master, err = LoadMaster(dir); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// keyFile is the file's form. Objects are kept as maps so that unknown fields survive.
type keyFile struct {
	top  map[string]json.RawMessage
	keys map[string]map[string]json.RawMessage // by id
}

// keyJSON are the fields of a key that this version knows.
type keyJSON struct {
	ID            string          `json:"id"`
	Tenant        string          `json:"tenant"`
	Verifier      []byte          `json:"verifier"` // sealed
	Previous      []byte          `json:"previous_verifier"`
	PreviousUntil *time.Time      `json:"previous_until"`
	Disabled      bool            `json:"disabled"`
	Rights        []string        `json:"rights"`
	Root          string          `json:"root"`
	Storage       *Storage        `json:"storage"`
	Credentials   []byte          `json:"storage_credentials"` // sealed
	State         string          `json:"state"`
	StateText     string          `json:"state_text"`
	TokenKey      string          `json:"token_key"`
	Config        json.RawMessage `json:"configuration"`
	RateCap       int64           `json:"rate_cap_bps"`
	VLink         string          `json:"vlink"`
	Created       *time.Time      `json:"created"`
	Note          string          `json:"note"`
}

const fileVersion = 1

// refresh loads the file if it is not the one that was read last. The lock mu is not held.
func (s *FileStore) refresh() error {
	fi, err := os.Stat(filepath.Join(s.dir, keysName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.mu.RLock()
	same := err != nil && s.seen == nil || err == nil && sameVersion(s.seen, fi)
	s.mu.RUnlock()
	if same {
		return nil
	}
	return s.load()
}

func sameVersion(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// load reads the file.
func (s *FileStore) load() error {
	path := filepath.Join(s.dir, keysName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.set(nil, keyFile{}, nil)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxKeyFile {
		return fmt.Errorf("%s is larger than %d bytes: %w", path, maxKeyFile, ErrCorrupt)
	}
	file, keys, err := s.decode(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.set(fi, file, keys)
	return nil
}

func (s *FileStore) set(seen fs.FileInfo, file keyFile, keys map[string]Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.file, s.keys = seen, file, keys
}

func (s *FileStore) decode(data []byte) (keyFile, map[string]Key, error) {
	bad := func(what string, err error) (keyFile, map[string]Key, error) {
		if err != nil {
			what += ": " + err.Error()
		}
		return keyFile{}, nil, fmt.Errorf("%s: %w", what, ErrCorrupt)
	}
	f := keyFile{keys: map[string]map[string]json.RawMessage{}}
	if err := json.Unmarshal(data, &f.top); err != nil {
		return bad("not JSON", err)
	}
	var v int
	if err := json.Unmarshal(f.top["version"], &v); err != nil || v < 1 {
		return bad("no version", nil)
	}
	if v > fileVersion {
		return keyFile{}, nil, fmt.Errorf("version %d was written by a newer program", v)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(f.top["keys"], &list); err != nil {
		return bad("no list of keys", nil)
	}
	keys := make(map[string]Key, len(list))
	for i, raw := range list {
		var all map[string]json.RawMessage
		var j keyJSON
		if err := errors.Join(json.Unmarshal(raw, &all), json.Unmarshal(raw, &j)); err != nil {
			return bad(fmt.Sprintf("key %d", i), err)
		}
		k, err := s.open(&j)
		if err != nil {
			return bad(fmt.Sprintf("key %d", i), err)
		}
		if len(j.Rights) > 0 {
			if k.Rights, err = ParseRights(strings.Join(j.Rights, ",")); err != nil {
				return bad(fmt.Sprintf("key %d", i), err)
			}
		}
		if err := k.Check(); err != nil {
			return bad(fmt.Sprintf("key %d", i), err)
		}
		if _, twice := keys[k.ID]; twice {
			return bad(fmt.Sprintf("key %d is there twice", i), nil)
		}
		keys[k.ID], f.keys[k.ID] = k, all
	}
	return f, keys, nil
}

// The labels of what is sealed: it opens for its own key only.
func verifierLabel(id string) string    { return "tw-key-1\x00" + id }
func credentialsLabel(id string) string { return "tw-storage-1\x00" + id }

// open makes a key of what the file has.
func (s *FileStore) open(j *keyJSON) (Key, error) {
	k := Key{
		ID: j.ID, Tenant: j.Tenant, Disabled: j.Disabled, Root: j.Root, Storage: j.Storage, StateText: j.StateText, TokenKey: j.TokenKey,
		Config: j.Config, RateCap: j.RateCap, VLink: j.VLink, Note: j.Note,
	}
	if string(k.Config) == "null" {
		k.Config = nil
	}
	var err error
	if j.State != "" {
		if k.State, err = ParseState(j.State); err != nil {
			return k, err
		}
	}
	if j.Created != nil {
		k.Created = *j.Created
	}
	if k.Verifier, err = s.openVerifier(j.ID, j.Verifier); err != nil {
		return k, err
	}
	if len(j.Previous) > 0 && j.PreviousUntil != nil {
		k.PreviousUntil = *j.PreviousUntil
		if k.Previous, err = s.openVerifier(j.ID, j.Previous); err != nil {
			return k, err
		}
	}
	if len(j.Credentials) > 0 && k.Storage != nil {
		plain, err := s.master.Open(credentialsLabel(j.ID), j.Credentials)
		if err != nil {
			return k, err
		}
		if err := json.Unmarshal(plain, &k.Storage.Credentials); err != nil {
			return k, errors.New("storage credentials: not JSON")
		}
	}
	return k, nil
}

func (s *FileStore) openVerifier(id string, sealed []byte) (v Verifier, err error) {
	plain, err := s.master.Open(verifierLabel(id), sealed)
	if err != nil || len(plain) != len(v) {
		return v, fmt.Errorf("it does not open with %s", masterName)
	}
	return Verifier(plain), nil
}

// seal is the reverse of open.
func (s *FileStore) seal(k Key) (keyJSON, error) {
	j := keyJSON{
		ID: k.ID, Tenant: k.Tenant, Verifier: s.master.Seal(verifierLabel(k.ID), k.Verifier[:]), Disabled: k.Disabled,
		Rights: append([]string{}, k.Rights.names()...), Root: k.Root, Storage: k.Storage, State: k.State.String(), StateText: k.StateText,
		TokenKey: k.TokenKey, Config: k.Config, RateCap: k.RateCap, VLink: k.VLink, Note: k.Note,
	}
	if k.Previous != (Verifier{}) {
		j.Previous, j.PreviousUntil = s.master.Seal(verifierLabel(k.ID), k.Previous[:]), &k.PreviousUntil
	}
	if !k.Created.IsZero() {
		j.Created = &k.Created
	}
	if k.Storage != nil && len(k.Storage.Credentials) > 0 {
		b, err := json.Marshal(k.Storage.Credentials)
		if err != nil {
			return j, err
		}
		j.Credentials = s.master.Seal(credentialsLabel(k.ID), b)
	}
	return j, nil
}

// encode returns the file's new content.
func (s *FileStore) encode(f keyFile, keys map[string]Key) ([]byte, error) {
	top := map[string]any{}
	for name, v := range f.top {
		top[name] = v
	}
	list := []any{}
	for _, k := range sorted(keys) {
		j, err := s.seal(k)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(j)
		if err != nil {
			return nil, err
		}
		all := map[string]json.RawMessage{}
		for name, v := range f.keys[k.ID] {
			all[name] = v
		}
		if err := json.Unmarshal(b, &all); err != nil { // over what is there
			return nil, err
		}
		list = append(list, all)
	}
	top["version"], top["keys"] = fileVersion, list
	b, err := json.MarshalIndent(top, "", "  ")
	return append(b, '\n'), err
}

// change replaces the file by what edit makes of the keys.
func (s *FileStore) change(edit func(map[string]Key) error) error {
	unlock, err := lockFile(filepath.Join(s.dir, lockName))
	if err != nil {
		return fmt.Errorf("lock the access keys: %w", err)
	}
	defer unlock()
	if err := s.refresh(); err != nil {
		return err
	}
	s.mu.RLock()
	file, keys := s.file, make(map[string]Key, len(s.keys)+1)
	for id, k := range s.keys {
		keys[id] = k
	}
	s.mu.RUnlock()
	if err := edit(keys); err != nil {
		return err
	}
	data, err := s.encode(file, keys)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, keysName), data); err != nil {
		return err
	}
	return s.load()
}

// Key implements Store.
func (s *FileStore) Key(_ context.Context, id string) (Key, error) {
	if err := s.refresh(); err != nil {
		return Key{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.keys[id]
	if !ok {
		return Key{}, ErrNotFound
	}
	return k, nil
}

// Keys implements Store.
func (s *FileStore) Keys(context.Context) ([]Key, error) {
	if err := s.refresh(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.keys), nil
}

// Put implements Store. It returns when the key is durable.
func (s *FileStore) Put(_ context.Context, k Key) error {
	if err := k.Check(); err != nil {
		return err
	}
	return s.change(func(keys map[string]Key) error {
		keys[k.ID] = k
		return nil
	})
}

// Delete implements Store.
func (s *FileStore) Delete(_ context.Context, id string) error {
	return s.change(func(keys map[string]Key) error {
		if _, ok := keys[id]; !ok {
			return ErrNotFound
		}
		delete(keys, id)
		return nil
	})
}

// writeFile replaces the file at path in one step, durably, with mode 0600.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync())
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}
