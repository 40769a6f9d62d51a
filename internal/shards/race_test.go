//go:build race

package main

const raceDetector = true // which makes the simulation twenty times as slow
