// Package gguf reads the metadata and tensor list of GGUF files, versions 2 and 3, without touching tensor data, and writes
// small ones. It takes any io.ReaderAt: the head of a file is read in windows, so a remote blob costs a few ranged reads.
//
// Every count and length is compared with what the file can still hold before anything is allocated for it; arrays stay in
// the file until they are asked for. The package does not know what the keys mean, apart from general.alignment and
// general.file_type.
package gguf
