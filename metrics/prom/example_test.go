package prom_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/metrics/prom"
	"github.com/ssehub-go/ssehub/sse"
)

func ExampleNewCollector() {
	hub := ssehub.New(nil)
	defer hub.Close()
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(prom.NewCollector(hub, &prom.Options{Topics: []string{"prices"}}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // for GET /metrics

	_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("12.50")})

	scrape := httptest.NewRecorder()
	handler.ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	text, _ := io.ReadAll(scrape.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "ssehub_published") || strings.HasPrefix(line, "ssehub_topic_history_events") {
			fmt.Print(line)
		}
	}
	// Output:
	// ssehub_published_bytes_total 13
	// ssehub_published_events_total 1
	// ssehub_topic_history_events{topic="prices"} 1
}

// Two hubs in one process, told apart by a label.
func ExampleNewCollector_several() {
	registry := prometheus.NewRegistry()
	for _, name := range []string{"orders", "prices"} {
		hub := ssehub.New(nil)
		defer hub.Close()
		prometheus.WrapRegistererWith(prometheus.Labels{"hub": name}, registry).MustRegister(prom.NewCollector(hub, nil))
	}
	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range families {
		if f.GetName() == "ssehub_subscribers" {
			for _, m := range f.GetMetric() {
				fmt.Println(m.GetLabel()[0].GetValue(), m.GetGauge().GetValue())
			}
		}
	}
	// Output:
	// orders 0
	// prices 0
}
