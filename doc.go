// Package ssehub publishes an event once and writes it, in order and without
// silent loss, to every browser and program that listens over plain
// Server-Sent Events.
package ssehub
