package otel

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// instrument is one that is read from a snapshot.
type instrument[T any] func(metric.Meter) (metric.Observable, observe[T], error)

// observe observes an instrument. The attributes are those that the snapshot as a whole
// has.
type observe[T any] func(to metric.Observer, of *T, attrs ...attribute.KeyValue)

func create[T any](meter metric.Meter, instruments []instrument[T]) (all []observe[T], made []metric.Observable, err error) {
	for _, instrument := range instruments {
		observable, observe, err := instrument(meter)
		if err != nil {
			return nil, nil, err
		}
		all, made = append(all, observe), append(made, observable)
	}
	return all, made, nil
}

type kind int

const (
	counter kind = iota
	upDown       // adds up over several hubs
	gauge        // does not
)

func integers(meter metric.Meter, k kind, name, unit, help string) (metric.Int64Observable, error) {
	u, d := metric.WithUnit(unit), metric.WithDescription(help)
	switch k {
	case counter:
		return meter.Int64ObservableCounter(name, u, d)
	case upDown:
		return meter.Int64ObservableUpDownCounter(name, u, d)
	}
	return meter.Int64ObservableGauge(name, u, d)
}

func single[T any, N int | int64 | uint64](k kind, name, unit, help string, value func(*T) N) instrument[T] {
	return func(meter metric.Meter) (metric.Observable, observe[T], error) {
		made, err := integers(meter, k, name, unit, help)
		return made, func(to metric.Observer, of *T, attrs ...attribute.KeyValue) {
			to.ObserveInt64(made, int64(value(of)), metric.WithAttributes(attrs...))
		}, err
	}
}

// limit is not observed where there is no limit: a share of it has no meaning then.
func limit[T any, N int | int64](name, unit, help string, value func(*T) N) instrument[T] {
	return func(meter metric.Meter) (metric.Observable, observe[T], error) {
		made, err := integers(meter, upDown, name, unit, help)
		return made, func(to metric.Observer, of *T, attrs ...attribute.KeyValue) {
			if n := value(of); n > 0 {
				to.ObserveInt64(made, int64(n), metric.WithAttributes(attrs...))
			}
		}, err
	}
}

// each counts for each key of a map, which is the attribute ssehub.reason.
func each[T any](name, unit, help string, value func(*T) map[string]uint64) instrument[T] {
	return func(meter metric.Meter) (metric.Observable, observe[T], error) {
		made, err := integers(meter, counter, name, unit, help)
		return made, func(to metric.Observer, of *T, attrs ...attribute.KeyValue) {
			for reason, n := range value(of) {
				with := append(attrs[:len(attrs):len(attrs)], attribute.String("ssehub.reason", reason))
				to.ObserveInt64(made, int64(n), metric.WithAttributes(with...))
			}
		}, err
	}
}

func seconds[T any](k kind, name, help string, value func(*T) time.Duration) instrument[T] {
	return func(meter metric.Meter) (metric.Observable, observe[T], error) {
		var made metric.Float64Observable
		var err error
		if u, d := metric.WithUnit("s"), metric.WithDescription(help); k == counter {
			made, err = meter.Float64ObservableCounter(name, u, d)
		} else {
			made, err = meter.Float64ObservableGauge(name, u, d)
		}
		return made, func(to metric.Observer, of *T, attrs ...attribute.KeyValue) {
			to.ObserveFloat64(made, value(of).Seconds(), metric.WithAttributes(attrs...))
		}, err
	}
}

func bool01(b bool) int {
	if b {
		return 1
	}
	return 0
}
