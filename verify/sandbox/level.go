package sandbox

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Layers is a set of layers of the sandbox. In JSON and in text it is a list of their names.
type Layers uint16

// The layers that can hold.
const (
	NoNewPrivs   Layers = 1 << iota // no program that is executed can gain rights
	Rlimits                         // memory, processor time, file size, descriptors and core dumps are limited by the kernel
	Landlock                        // no file, TCP port or process outside can be reached
	Seccomp                         // only the system calls that Go's runtime needs
	Unprivileged                    // not the user root, and without capabilities
	UserNS                          // a user namespace of its own
	NetNS                           // a network namespace of its own, without interfaces
	PidNS                           // a process namespace of its own
	IPCNS                           // an IPC namespace of its own
	MountNS                         // a mount namespace of its own
	UTSNS                           // a host name of its own
	Cgroup                          // a control group of its own, in which the kernel limits memory and tasks
	None         Layers = 1 << 15   // as Options.Require: nothing is required

	// Default is required of a child unless its Options say otherwise.
	Default = NoNewPrivs | Rlimits | Landlock | Seccomp
)

var layerNames = []struct {
	layer Layers
	name  string
}{
	{NoNewPrivs, "no_new_privs"},
	{Rlimits, "rlimits"},
	{Landlock, "landlock"},
	{Seccomp, "seccomp"},
	{Unprivileged, "unprivileged"},
	{UserNS, "user_ns"},
	{NetNS, "net_ns"},
	{PidNS, "pid_ns"},
	{IPCNS, "ipc_ns"},
	{MountNS, "mount_ns"},
	{UTSNS, "uts_ns"},
	{Cgroup, "cgroup"},
	{None, "none"},
}

// Names lists the layers of the set by name.
func (l Layers) Names() []string {
	names := []string{}
	for _, n := range layerNames {
		if l&n.layer != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

func (l Layers) String() string { return strings.Join(l.Names(), ",") }

// ParseLayers reads a list of names with commas between them, as an operator writes it; "default" stands for Default.
func ParseLayers(s string) (Layers, error) {
	var l Layers
	for name := range strings.SplitSeq(s, ",") {
		one, ok := layerNamed(strings.TrimSpace(name))
		if !ok {
			return 0, fmt.Errorf("unknown sandbox layer %q: use default or some of %s", name, ^Layers(0))
		}
		l |= one
	}
	if l&None != 0 && l != None {
		return 0, fmt.Errorf("sandbox layers %q: none stands alone", s)
	}
	return l, nil
}

func layerNamed(name string) (Layers, bool) {
	if name == "default" {
		return Default, true
	}
	for _, n := range layerNames {
		if n.name == name {
			return n.layer, true
		}
	}
	return 0, false
}

// MarshalJSON gives the list of names.
func (l Layers) MarshalJSON() ([]byte, error) { return json.Marshal(l.Names()) }

// UnmarshalJSON reads a list of names. Those that are not known here are layers of a later program and are left out.
func (l *Layers) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	var set Layers
	for _, name := range names {
		if one, ok := layerNamed(name); ok {
			set |= one
		}
	}
	*l = set
	return nil
}

// Level is what was found to hold in a child, measured there after it restricted itself and before it saw its input.
type Level struct {
	Layers Layers `json:"layers"`
	// Landlock is the version of the kernel's interface whose restrictions are all in force; 0 without the layer.
	Landlock int `json:"landlock_abi,omitempty"`
}

// missing are the layers that a level lacks of those required.
func (l Level) missing(require Layers) Layers {
	if require == 0 {
		require = Default
	}
	return require &^ None &^ l.Layers
}
