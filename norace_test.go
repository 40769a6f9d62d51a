//go:build !race

package ssehub_test

const raceDetector = false
