//go:build race

package main

const raceDetector = true // which makes sizes mean little
