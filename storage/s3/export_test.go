package s3

// Used is how many bytes of buffers all streams hold.
func (s *Store) Used() int64 { return s.used.Load() }
