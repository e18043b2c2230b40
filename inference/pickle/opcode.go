package pickle

// argument is what follows an opcode in the stream.
type argument uint8

const (
	noArgument argument = iota
	uint1
	uint2
	int4
	uint4
	uint8bytes
	float8
	line     // up to a newline
	twoLines // module and name
	counted1 // as many bytes as one byte says
	counted4 // as an unsigned number of four bytes says
	signed4  // as a signed one says
	counted8
)

// opcode is one instruction.
type opcode struct {
	name string
	arg  argument
}

// opcodes are the 68 instructions of protocols 0 to 5.
var opcodes = [256]opcode{
	'I': {"INT", line}, 'J': {"BININT", int4}, 'K': {"BININT1", uint1}, 'M': {"BININT2", uint2}, 'L': {"LONG", line},
	0x8a: {"LONG1", counted1}, 0x8b: {"LONG4", signed4}, 'S': {"STRING", line}, 'T': {"BINSTRING", signed4},
	'U': {"SHORT_BINSTRING", counted1}, 'B': {"BINBYTES", counted4}, 'C': {"SHORT_BINBYTES", counted1}, 0x8e: {"BINBYTES8", counted8},
	0x96: {"BYTEARRAY8", counted8}, 0x97: {"NEXT_BUFFER", noArgument}, 0x98: {"READONLY_BUFFER", noArgument}, 'N': {"NONE", noArgument},
	0x88: {"NEWTRUE", noArgument}, 0x89: {"NEWFALSE", noArgument}, 'V': {"UNICODE", line}, 0x8c: {"SHORT_BINUNICODE", counted1},
	'X': {"BINUNICODE", counted4}, 0x8d: {"BINUNICODE8", counted8}, 'F': {"FLOAT", line}, 'G': {"BINFLOAT", float8},
	']': {"EMPTY_LIST", noArgument}, 'a': {"APPEND", noArgument}, 'e': {"APPENDS", noArgument}, 'l': {"LIST", noArgument},
	')': {"EMPTY_TUPLE", noArgument}, 't': {"TUPLE", noArgument}, 0x85: {"TUPLE1", noArgument}, 0x86: {"TUPLE2", noArgument},
	0x87: {"TUPLE3", noArgument}, '}': {"EMPTY_DICT", noArgument}, 'd': {"DICT", noArgument}, 's': {"SETITEM", noArgument},
	'u': {"SETITEMS", noArgument}, 0x8f: {"EMPTY_SET", noArgument}, 0x90: {"ADDITEMS", noArgument}, 0x91: {"FROZENSET", noArgument},
	'0': {"POP", noArgument}, '2': {"DUP", noArgument}, '(': {"MARK", noArgument}, '1': {"POP_MARK", noArgument}, 'g': {"GET", line},
	'h': {"BINGET", uint1}, 'j': {"LONG_BINGET", uint4}, 'p': {"PUT", line}, 'q': {"BINPUT", uint1}, 'r': {"LONG_BINPUT", uint4},
	0x94: {"MEMOIZE", noArgument}, 0x82: {"EXT1", uint1}, 0x83: {"EXT2", uint2}, 0x84: {"EXT4", int4}, 'c': {"GLOBAL", twoLines},
	0x93: {"STACK_GLOBAL", noArgument}, 'R': {"REDUCE", noArgument}, 'b': {"BUILD", noArgument}, 'i': {"INST", twoLines},
	'o': {"OBJ", noArgument}, 0x81: {"NEWOBJ", noArgument}, 0x92: {"NEWOBJ_EX", noArgument}, 0x80: {"PROTO", uint1},
	'.': {"STOP", noArgument}, 0x95: {"FRAME", uint8bytes}, 'P': {"PERSID", line}, 'Q': {"BINPERSID", noArgument},
}
