//go:build race

package client_test

const raceDetector = true // which makes times and sizes mean little
