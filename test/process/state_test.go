package process_test

import (
	"bytes"
	"fmt"
	"os"
)

// state is the kernel's letter for a process: T is stopped.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return string(after[:1])
}
