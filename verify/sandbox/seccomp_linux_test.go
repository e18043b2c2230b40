package sandbox

import (
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// TestAllowed sees that a name is not missing where Go needs it, because it is written in another way.
func TestAllowed(t *testing.T) {
	t.Parallel()
	old := map[string]bool{"epoll_wait": true, "time": true} // newer architectures never had them
	for _, name := range []string{"amd64", "arm64"} {
		info, err := arch.GetInfo(name)
		if err != nil {
			t.Fatal(err)
		}
		names := append([]string{"clone3"}, allowed...)
		for _, c := range conditional(1) {
			names = append(names, c.Name)
		}
		known := map[string]bool{}
		for n := range info.SyscallNames {
			known[n] = true
		}
		for _, n := range names {
			if !known[n] && (name == "amd64" || !old[n]) {
				t.Errorf("%s has no %s", name, n)
			}
		}
	}
}
