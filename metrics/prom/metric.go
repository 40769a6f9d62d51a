package prom

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ssehub-go/ssehub"
)

// metric is a metric that is made of a snapshot. The labels' values are those that the
// snapshot as a whole has.
type metric[T any] struct {
	desc *prometheus.Desc
	send func(to chan<- prometheus.Metric, of *T, labels []string)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ssehub_"+name, help, labels, nil)
}

func single[T any, N int | int64 | uint64 | float64](desc *prometheus.Desc, kind prometheus.ValueType, value func(*T) N) metric[T] {
	return metric[T]{desc, func(to chan<- prometheus.Metric, of *T, labels []string) {
		to <- prometheus.MustNewConstMetric(desc, kind, float64(value(of)), labels...)
	}}
}

// limit is a gauge that is not there where there is no limit: a share of it has no
// meaning then.
func limit[T any, N int | int64](desc *prometheus.Desc, value func(*T) N) metric[T] {
	return metric[T]{desc, func(to chan<- prometheus.Metric, of *T, labels []string) {
		if n := value(of); n > 0 {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
		}
	}}
}

// each is a counter for each key of a map, which is the last label.
func each[T any](desc *prometheus.Desc, value func(*T) map[string]uint64) metric[T] {
	return metric[T]{desc, func(to chan<- prometheus.Metric, of *T, labels []string) {
		for key, n := range value(of) {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), with(labels, key)...)
		}
	}}
}

func histogram[T any](desc *prometheus.Desc, value func(*T) ssehub.Histogram) metric[T] {
	return metric[T]{desc, func(to chan<- prometheus.Metric, of *T, labels []string) {
		h := value(of)
		buckets := make(map[float64]uint64)
		for bound, n := range h.Buckets() {
			buckets[bound.Seconds()] = n
		}
		delete(buckets, time.Duration(math.MaxInt64).Seconds()) // infinity, which is h.Count
		to <- prometheus.MustNewConstHistogram(desc, h.Count, h.Sum.Seconds(), buckets, labels...)
	}}
}

// info is always 1, and has what there is to say as its last label.
func info[T any](desc *prometheus.Desc, value func(*T) string) metric[T] {
	return metric[T]{desc, func(to chan<- prometheus.Metric, of *T, labels []string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, with(labels, value(of))...)
	}}
}

func with(labels []string, last string) []string {
	return append(labels[:len(labels):len(labels)], last)
}

func bool01(b bool) int {
	if b {
		return 1
	}
	return 0
}
