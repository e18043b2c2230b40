// Package pickle looks into Python pickles without running them: PyTorch checkpoints (zip archives and the layout before
// version 1.6) and any other file that holds pickles. It lists the tensors of a checkpoint, and every name that unpickling
// would import or call.
//
// A pickle is a program for a stack machine. The machine here knows all 68 opcodes of protocols 0 to 5 and builds inert values:
// importing a name gives its name, a call gives a record of the call. Nothing is looked up and nothing runs. Memory, depth and
// work are bounded.
//
// The lists are evidence, not a verdict. A name that is not on the list of known ones may still be harmless, and no list here
// says that a file is safe to load: read weights from formats that hold no programs.
//
// The opcodes are those of Python's Lib/pickletools.py, the layouts of checkpoints those of PyTorch's torch/serialization.py.
package pickle
