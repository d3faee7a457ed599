// Package metrics shows the numbers of a node to Prometheus, and whether it is well to who starts and stops it.
package metrics

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tradewind-io/tradewind/cluster/node"
)

// metric is a number that a node shows.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(node.Stats) float64
	label []string // values of the labels
}

func newMetric(kind prometheus.ValueType, name, help string, labels []string, label []string, value func(node.Stats) float64) metric {
	return metric{prometheus.NewDesc("tradewind_"+name, help, labels, nil), kind, value, label}
}

// nodeMetrics collects a node's numbers when somebody asks.
type nodeMetrics struct {
	node *node.Node
	list []metric
}

// Collector returns the numbers of a node, collected when somebody asks.
func Collector(n *node.Node) prometheus.Collector {
	gauge := func(name, help string, v func(node.Stats) float64) metric {
		return newMetric(prometheus.GaugeValue, name, help, nil, nil, v)
	}
	counter := func(name, help string, v func(node.Stats) float64) metric {
		return newMetric(prometheus.CounterValue, name, help, nil, nil, v)
	}
	// Directions are those of the node: in is uploads of clients.
	both := func(name, help string, in, out func(node.Stats) float64) []metric {
		return []metric{
			newMetric(prometheus.CounterValue, name, help, []string{"direction"}, []string{"in"}, in),
			newMetric(prometheus.CounterValue, name, help, []string{"direction"}, []string{"out"}, out),
		}
	}
	list := []metric{
		gauge("sessions", "Authenticated sessions now.", func(s node.Stats) float64 { return float64(s.Sessions) }),
		gauge("sessions_max", "Most authenticated sessions at a time.", func(s node.Stats) float64 { return float64(s.MaxSessions) }),
		gauge("sessions_unauthenticated", "Sessions whose proof has not been checked yet.", func(s node.Stats) float64 { return float64(s.Unauthenticated) }),
		gauge("draining", "1 while the node takes no new sessions.", func(s node.Stats) float64 {
			if s.Draining {
				return 1
			}
			return 0
		}),
		gauge("overload_level_bps", "What sessions are held to because the processors are busy, bits per second; 0 is no bound.", func(s node.Stats) float64 { return float64(s.Endpoint.Level) }),
		counter("sessions_ended_total", "Sessions of clients that have ended.", func(s node.Stats) float64 { return float64(s.Totals.Sessions) }),
		counter("sessions_failed_total", "Of them, those that failed.", func(s node.Stats) float64 { return float64(s.Totals.SessionsFailed) }),
		counter("datagrams_unknown_total", "Datagrams that belong to nobody.", func(s node.Stats) float64 { return float64(s.Endpoint.Unknown) }),
		counter("packets_overflow_total", "Packets dropped because a session did not keep up.", func(s node.Stats) float64 { return float64(s.Endpoint.Overflow) }),
		counter("handshake_retries_total", "Stateless retries sent.", func(s node.Stats) float64 { return float64(s.Endpoint.Retries) }),
	}
	list = append(list,
		gauge("api_requests", "Requests of the REST API under way.", func(s node.Stats) float64 { return float64(s.API.Active) }),
		gauge("ssh_connections", "Connections of accounts that have logged in by SSH.", func(s node.Stats) float64 { return float64(s.SSH.Conns) }),
		gauge("wss_connections", "Connections for tickets over WebSocket.", func(s node.Stats) float64 { return float64(s.WSS.Conns) }),
		counter("logins_right_total", "Right passwords of accounts.", func(s node.Stats) float64 { return float64(s.Logins.Right) }),
		counter("logins_wrong_total", "Wrong passwords of accounts, and wrong credentials of the REST API.", func(s node.Stats) float64 { return float64(s.Logins.Wrong) }),
		counter("logins_limited_total", "Attempts that were not looked at, because there were too many.", func(s node.Stats) float64 { return float64(s.Logins.Limited) }),
	)
	for i, class := range []string{"", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if i >= 2 {
			list = append(list, newMetric(prometheus.CounterValue, "api_answers_total", "Answers of the REST API by the class of their status.", []string{"status"}, []string{class},
				func(s node.Stats) float64 { return float64(s.API.Answers[i]) }))
		}
	}
	list = append(list, both("content_bytes_total", "Content moved by sessions of clients.",
		func(s node.Stats) float64 { return float64(s.Totals.BytesIn) }, func(s node.Stats) float64 { return float64(s.Totals.BytesOut) })...)
	list = append(list, both("files_total", "Files confirmed.",
		func(s node.Stats) float64 { return float64(s.Totals.FilesIn) }, func(s node.Stats) float64 { return float64(s.Totals.FilesOut) })...)
	list = append(list, both("files_failed_total", "Files that failed.",
		func(s node.Stats) float64 { return float64(s.Totals.FailedIn) }, func(s node.Stats) float64 { return float64(s.Totals.FailedOut) })...)
	list = append(list, both("files_skipped_total", "Files that were there already.",
		func(s node.Stats) float64 { return float64(s.Totals.SkippedIn) }, func(s node.Stats) float64 { return float64(s.Totals.SkippedOut) })...)
	return &nodeMetrics{node: n, list: list}
}

// Describe implements prometheus.Collector.
func (c *nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.list {
		ch <- m.desc
	}
	ch <- jobsDesc
}

var jobsDesc = prometheus.NewDesc("tradewind_jobs", "Jobs that are not over.", []string{"status"}, nil)

// Collect implements prometheus.Collector.
func (c *nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	s := c.node.Stats()
	for _, m := range c.list {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s), m.label...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	j, err := c.node.Jobs(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(jobsDesc, err) // the scrape says so
		return
	}
	for status, n := range map[string]int{"running": j.Running, "waiting": j.Waiting, "paused": j.Paused} {
		ch <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), status)
	}
}

// collectTimeout bounds what a scrape waits for the state store.
const collectTimeout = 5 * time.Second

// Handler serves what Prometheus reads: the node, the Go runtime and the process.
func Handler(n *node.Node) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(Collector(n), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Health answers 200 while the node lives. With ready it is 503, too, before it takes sessions and while it takes no new ones.
func Health(n *node.Node, ready bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status, code := "ok", http.StatusOK
		select {
		case <-n.Ready():
			if n.Stats().Draining {
				status = "draining"
			}
		default:
			status = "starting"
		}
		if ready && status != "ok" {
			code = http.StatusServiceUnavailable
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // who asked has gone
	}
}
