//go:build race

package sse_test

const raceDetector = true // which makes times and sizes mean little
