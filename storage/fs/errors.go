package fs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/carat-hub/carat/storage"
)

// classify adds the sentinel of package storage that an error of the
// operating system stands for. Other errors come back as they are.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []struct {
		sentinel error
		causes   []error
	}{
		{storage.ErrNotExist, []error{os.ErrNotExist}},
		{storage.ErrNoSpace, []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}},
		{storage.ErrUnavailable, []error{
			syscall.EIO, syscall.EROFS, syscall.ESTALE, syscall.ENXIO, syscall.ENODEV,
			syscall.ETIMEDOUT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		}},
	} {
		if errors.Is(err, c.sentinel) {
			return err
		}
		for _, cause := range c.causes {
			if errors.Is(err, cause) {
				return fmt.Errorf("%w: %w", c.sentinel, err)
			}
		}
	}
	return err
}
