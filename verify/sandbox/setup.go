package sandbox

import "time"

// childName is the first argument of a child's process, by which Main knows that it is one.
const childName = "carat sandbox"

// Descriptors of a child beside the standard ones; the files of the task follow.
const (
	resultFD  = 3
	controlFD = 4
	fileFD    = 5
)

// setup is what the parent tells the child before the child restricts itself.
type setup struct {
	Task    string            `json:"task"`
	Files   int               `json:"files"`
	Ranges  []int64           `json:"ranges"` // their sizes
	Limits  Limits            `json:"limits"`
	Spaces  map[string]uint64 `json:"spaces"`   // the parent's namespaces by name, as inode numbers
	OwnUser bool              `json:"own_user"` // the child's processes are counted apart from others
}

// report is the child's first frame.
type report struct {
	Level   Level             `json:"level"`
	Reasons map[string]string `json:"reasons,omitempty"`
	Error   string            `json:"error,omitempty"` // the child cannot run the task at all
}

// space is a kind of namespace: its name in /proc/self/ns and its layer.
type space struct {
	name  string
	layer Layers
}

var spaces = []space{{"user", UserNS}, {"net", NetNS}, {"pid", PidNS}, {"ipc", IPCNS}, {"mnt", MountNS}, {"uts", UTSNS}}

// seconds rounds up, for limits that the kernel counts in seconds.
func seconds(d time.Duration) uint64 { return uint64((d + time.Second - 1) / time.Second) }
