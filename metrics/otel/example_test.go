package otel_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/metrics/otel"
	"github.com/ssehub-go/ssehub/sse"
)

func ExampleRegister() {
	reader := sdk.NewManualReader() // in earnest a periodic one, with an exporter
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	meter := provider.Meter("github.com/ssehub-go/ssehub")

	trace, err := otel.Trace(meter, nil) // for ssehub.delivery.duration
	if err != nil {
		fmt.Println(err)
	}
	hub := ssehub.New(&ssehub.Options{Trace: trace})
	defer hub.Close()
	registration, err := otel.Register(hub, meter, nil) // for all others
	if err != nil {
		fmt.Println(err)
	}
	defer registration.Unregister()

	_, _ = hub.Publish(context.Background(), "prices", sse.Message{Data: []byte("12.50")})

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if data, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "ssehub.published.events" {
			fmt.Println(m.Name, data.DataPoints[0].Value, m.Unit)
		}
	}
	// Output: ssehub.published.events 1 {event}
}
