package main

import (
	"errors"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// dial connects, sends request and makes the socket one that does not block.
func dial(target netip.AddrPort, request string, prepare ...func(fd int) error) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	for _, f := range prepare {
		if err := f(fd); err != nil {
			return -1, err
		}
	}
	if err := ignoringEINTR(func() error {
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()})
	}); err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, err
	}
	n, err := unix.Write(fd, []byte(request))
	if err == nil && n < len(request) {
		err = io.ErrShortWrite
	}
	return fd, err
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
