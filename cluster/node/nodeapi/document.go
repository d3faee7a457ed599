package nodeapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// public are the calls that need no credentials.
func (s *Server) public() (map[string]http.HandlerFunc, error) {
	document := api.OpenAPI()
	asJSON, err := documentJSON(document)
	if err != nil {
		return nil, err
	}
	return map[string]http.HandlerFunc{
		"GET /ping":         func(http.ResponseWriter, *http.Request) {},
		"GET /openapi.yaml": s.fixed("application/yaml", document),
		"GET /openapi.json": s.fixed("application/json", asJSON),
	}, nil
}

// fixed answers the same bytes always.
func (s *Server) fixed(kind string, b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		if _, err := w.Write(b); err != nil {
			s.cfg.Logger.Debug("the client went away", "error", err)
		}
	}
}

// documentJSON is a YAML document as JSON.
func documentJSON(document []byte) ([]byte, error) {
	var v any
	if err := yaml.Unmarshal(document, &v); err != nil {
		return nil, fmt.Errorf("nodeapi: the OpenAPI document: %w", err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("nodeapi: the OpenAPI document as JSON: %w", err)
	}
	return b, nil
}
