//go:build race

package ssehub_test

const raceDetector = true // which makes times and sizes mean little
