//go:build !linux

package main

import "syscall"

// withParent is of Linux: elsewhere nodes outlive a process that is killed.
func withParent() *syscall.SysProcAttr { return nil }
