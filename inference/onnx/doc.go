// Package onnx reads the structure of ONNX models: versions, inputs and outputs, counts of operators, and which tensors there
// are and where their data lies. It does not run graphs.
//
// A file is one protobuf message, whose tensors carry their data in the middle of it. Read walks its fields over an io.ReaderAt
// and steps over the data, so a model of gigabytes costs the memory of its names, and a remote one the ranges between the data.
// Data in other files is described and not opened; CheckExternal compares it with what those files hold.
//
// Field numbers and types are those of onnx.proto in https://github.com/onnx/onnx, as of IR version 13. Unknown fields are
// skipped, as protobuf wants.
package onnx
