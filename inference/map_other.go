//go:build !unix

package inference

import "errors"

// mapFile reads through the descriptor, because this operating system's mappings are not used.
func mapFile(f osFile) (File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return plainFile{f, info.Size()}, nil
}
