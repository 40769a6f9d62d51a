//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// sample is what a process holds at a moment.
type sample struct {
	Seconds     float64 // since the start
	Heap        uint64  // bytes, right after a collection
	Goroutines  int
	Descriptors int
	Connects    int64 // ever, counted by the clients
}

// takeSample collects garbage.
func takeSample(start time.Time) sample {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return sample{
		Seconds:     time.Since(start).Seconds(),
		Heap:        stats.HeapAlloc,
		Goroutines:  runtime.NumGoroutine(),
		Descriptors: descriptors(),
	}
}

// descriptors counts those that this process has open, and the one it counts with.
func descriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(names)
}

// cpuWait is how long the threads of this process were ready to run, and others
// had the CPU, as the kernel counts it.
func cpuWait() (wait time.Duration) {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range files {
		var ran, waited int64
		text, _ := os.ReadFile(file) // the thread may have ended
		_, _ = fmt.Sscan(string(text), &ran, &waited)
		wait += time.Duration(waited)
	}
	return wait
}

// until waits for a condition, looking every 10 ms.
func until(limit time.Duration, is func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if is() {
			return true
		}
	}
	return is()
}
