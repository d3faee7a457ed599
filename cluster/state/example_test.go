package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/cluster/state"
)

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := state.Open(ctx, state.Config{Path: filepath.Join(dir, "state.db")})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	// A tenant, its key, and a record of who made them: all or none.
	err = s.Update(ctx, func(tx *state.Tx) error {
		if _, err := tx.CreateTenant(ctx, state.Tenant{ID: "acme", Name: "Acme"}); err != nil {
			return err
		}
		k := state.Key{ID: "key1", Tenant: "acme", Status: "active", Doc: json.RawMessage(`{"root":"/data"}`)}
		if _, err := tx.CreateKey(ctx, k); err != nil {
			return err
		}
		_, err := tx.AppendAudit(ctx, state.Audit{Actor: "admin", Action: "key.create", Object: "key1", Tenant: "acme"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}

	// Two change what both have read; the second has to read again.
	one, _ := s.Key(ctx, "key1")
	two := one
	one.Disabled = true
	_, err = s.UpdateKey(ctx, one)
	fmt.Println(err)
	two.Status = "expired"
	_, err = s.UpdateKey(ctx, two)
	fmt.Println(errors.Is(err, state.ErrConflict), err)

	// What changed since.
	j, _ := s.CreateJob(ctx, state.Job{ID: "job1", Tenant: "acme", Status: "running"})
	jobs, _, _ := s.Jobs(ctx, state.JobFilter{Tenant: "acme", Since: j.Iter}, state.Page{})
	fmt.Println(len(jobs))
	j.Status = "completed"
	if _, err := s.UpdateJob(ctx, j); err != nil {
		log.Fatal(err)
	}
	jobs, _, _ = s.Jobs(ctx, state.JobFilter{Tenant: "acme", Since: j.Iter}, state.Page{})
	fmt.Println(jobs[0].ID, jobs[0].Status)
	// Output:
	// <nil>
	// true update key "key1": changed by someone else: it is at revision 2, not 1; read it again
	// 0
	// job1 completed
}
