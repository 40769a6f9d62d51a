package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where the figures come from.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Go     string `json:"go"`
	Kernel string `json:"kernel"`
}

func thisMachine() machine {
	return machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version(), Kernel: kernel()}
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // without it the model is unknown
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
}

// commit is that of the checkout in the working directory. "+" marks one with
// changes.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	id := string(bytes.TrimSpace(head))
	if changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changes) > 0 {
		id += "+"
	}
	return id
}

// commandLine is how to repeat a run.
func commandLine(args []string) string {
	return strings.Join(append([]string{"go run ."}, args...), " ")
}

// spareFiles are what a process needs besides its connections.
const spareFiles = 64

// raiseFileLimit raises the soft limit of open files to the hard one and
// refuses more connections than that.
func raiseFileLimit(conns int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if need := uint64(conns + spareFiles); need > limit.Max {
		return fmt.Errorf("%d connections need %d file descriptors, and the hard limit (ulimit -Hn) is %d", conns, need, limit.Max)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// clock ties Go's own reading of CLOCK_MONOTONIC, which needs no system call,
// to its value. Other processes of the machine read the same clock.
var clock = struct {
	then time.Time
	at   int64
}{time.Now(), readClock(unix.CLOCK_MONOTONIC)}

func monotonic() int64 { return clock.at + int64(time.Since(clock.then)) }

func readClock(id int32) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic(err) // Linux always has this clock
	}
	return t.Nano()
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	return time.Duration(readClock(unix.CLOCK_PROCESS_CPUTIME_ID))
}

// cpuTimeOf adds up what processes have used. They need not answer.
func cpuTimeOf(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		var t unix.Timespec
		// How Linux names the CPU clock of another process, as in
		// clock_getcpuclockid(3).
		if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// childrenOf are the processes that pid has started and that are there.
func childrenOf(pid int) (pids []int, err error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}

// machineCPUTime is what all processes have used together, with what the host
// took from this machine: time that a measurement did not have.
func machineCPUTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, errors.New("unexpected first line of /proc/stat")
	}
	var ticks int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // all but idle and waiting for input and output
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // the unit of /proc, whatever the kernel's own is
	return time.Duration(ticks) * tick, nil
}

// residentSize is this process's resident memory in bytes.
func residentSize() (int64, error) {
	return memoryField("/proc/self/status", "VmRSS:")
}

// proportionalSize adds up the resident memory of processes and counts what
// they share once.
func proportionalSize(pids []int) (sum int64, err error) {
	for _, pid := range pids {
		size, err := memoryField(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
		if err != nil {
			return 0, err
		}
		sum += size
	}
	return sum, nil
}

func memoryField(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			kB, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in %s", name, file)
}

// endWithParent has the kernel end a process when the one that started it ends,
// however that comes about.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
}
