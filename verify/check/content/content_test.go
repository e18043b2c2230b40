package content_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify/check/content"
)

func look(t testing.TB, name string, p []byte) []content.Item {
	t.Helper()
	l := content.NewLooker(t.Context())
	if err := l.Look(name, bytes.NewReader(p), int64(len(p))); err != nil {
		t.Fatal(err)
	}
	return l.Items()
}

func worst(items []content.Item) content.Severity {
	s := content.Noted
	for _, i := range items {
		s = max(s, i.Severity)
	}
	return s
}

// TestEvasions are ways to get code past scanners of pickles that are known from advisories, or follow from how the formats
// and their readers differ. Each must be found bad, whatever the file is called.
func TestEvasions(t *testing.T) {
	t.Parallel()
	bad := stackCall("os", "system")
	stored := func(name string, p []byte) []byte { return zipOf(t, zip.Store, member{name, p}) }
	tests := map[string][]byte{
		// Every way in which a pickle can import and call.
		"protocol 0":                  call("os", "system", "id"),
		"protocol 1":                  []byte("cos\nsystem\nq\x00(U\x02idtR."),
		"protocol 2":                  proto(2, "cposix\nsystem\nU\x02id\x85R."),
		"protocol 3":                  proto(3, "cposix\nsystem\nX\x02\x00\x00\x00id\x85R."),
		"protocol 4":                  bad,
		"protocol 5":                  proto(5, frame(short("nt")+short("system")+"\x93"+short("x")+"\x85R.")),
		"instance":                    []byte("(S'id'\nios\nsystem\n."),
		"object":                      []byte("(cos\nsystem\nS'id'\no."),
		"new object":                  proto(2, "csubprocess\nPopen\nU\x02id\x85\x81."),
		"new object with keywords":    proto(4, "csubprocess\nPopen\n)}\x92."),
		"state":                       proto(2, "cos\n_wrap_close\n)\x81}U\x01aK\x01sb."),
		"extension registry":          proto(2, "\x82\x01U\x02id\x85R."),
		"names from the memo":         proto(4, short("os"), "\x94", short("system"), "\x94", "00h\x00h\x01\x93", short("id"), "\x85R."),
		"name put together elsewhere": proto(4, "K\x01", short("system"), "\x93", short("id"), "\x85R."),
		"dotted name":                 proto(4, short("collections"), short("OrderedDict.__init__.__globals__"), "\x93)R."),
		"no mark of a protocol":       []byte("\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."),
		"behind harmless values":      proto(4, "K\x010", short("os"), short("system"), "\x93", short("id"), "\x85R."),
		"second pickle":               append(plain(), bad...),
		"second pickle without mark":  append(plain(), call("os", "system", "id")...),
		"third pickle":                append(append(plain(), plain()...), bad...),

		// nullifAI: the program runs before what is broken.
		"broken behind the call":  append(bad[:len(bad)-1:len(bad)-1], "\xff\xff"...),
		"cut off behind the call": bad[:len(bad)-1],
		"nothing on the stack":    append(bad[:len(bad)-1:len(bad)-1], "00000."...),
		"no end":                  proto(2, "cos\nsystem\nU\x02id\x85R"),

		// Names that lists of forbidden ones forgot. Here only the known ones are let through.
		"pip":                     call("pip", "main", "x"),
		"pip internal":            call("pip._internal.cli.main", "main", "x"),
		"ensurepip":               call("ensurepip", "_run_pip", "x"),
		"runpy":                   call("runpy", "run_path", "x"),
		"timeit":                  call("timeit", "timeit", "x"),
		"cProfile":                call("cProfile", "runctx", "x"),
		"doctest":                 call("doctest", "debug_script", "x"),
		"pydoc":                   call("pydoc", "pipepager", "x"),
		"idlelib":                 call("idlelib.pyshell", "ModifiedInterpreter.runcommand", "x"),
		"lib2to3":                 call("lib2to3.pgen2.pgen", "ParserGenerator.make_label", "x"),
		"asyncio":                 call("asyncio.unix_events", "_UnixSubprocessTransport._start", "x"),
		"code":                    call("code", "InteractiveInterpreter.runcode", "x"),
		"bdb":                     call("bdb", "Bdb.run", "x"),
		"trace":                   call("trace", "Trace.run", "x"),
		"logging":                 call("logging.config", "_resolve", "x"),
		"types":                   call("types", "FunctionType", "x"),
		"functools":               call("functools", "partial", "x"),
		"operator":                call("_operator", "methodcaller", "x"),
		"getattr":                 call("builtins", "getattr", "x"),
		"getattr of Python 2":     call("__builtin__", "getattr", "x"),
		"import":                  call("importlib", "import_module", "x"),
		"ctypes":                  call("ctypes", "CDLL", "x"),
		"numpy's Fortran":         call("numpy.f2py.crackfortran", "getlincoef", "x"),
		"numpy's load":            call("numpy", "load", "x"),
		"torch's load":            call("torch", "load", "x"),
		"torch's bytes":           call("torch.storage", "_load_from_bytes", "x"),
		"torch's wrapper":         call("torch.jit.unsupported_tensor_ops", "execWrapper", "x"),
		"torch's config":          call("torch._dynamo.guards", "GuardBuilder.get", "x"),
		"torch's bottleneck":      call("torch.utils.bottleneck.__main__", "run_cprofile", "x"),
		"deleting":                call("shutil", "rmtree", "/"),
		"network":                 call("http.client", "HTTPSConnection", "x"),
		"name lookup":             call("socket", "gethostbyname", "x"),
		"web browser":             call("webbrowser", "open", "x"),
		"joblib's arrays":         call("joblib.numpy_pickle", "NumpyArrayWrapper", "x"),
		"module in the folder":    call("modeling", "load", "x"),
		"known name of elsewhere": call("torch.nn.modules", "OrderedDict", "x"),

		// Archives and compression.
		"zip":                            stored("archive/data.pkl", bad),
		"zip with another ending":        stored("archive/data.dat", bad),
		"zip, member in a folder":        stored("a/b/c/x", call("os", "system", "id")),
		"compressed zip":                 zipOf(t, zip.Deflate, member{"archive/data.pkl", bad}),
		"zip in zip":                     stored("a", stored("b", stored("c", bad))),
		"encrypted by its entry":         rawZip("data.pkl", bad, func(l, _ []byte) { l[6] = 1 }),
		"encrypted":                      rawZip("data.pkl", bad, func(l, c []byte) { l[6], c[8] = 1, 1 }),
		"wrong checksum":                 rawZip("data.pkl", bad, func(l, c []byte) { l[14]++; c[16]++ }),
		"other name in the directory":    rawZip("data.txt", plain(), func(l, _ []byte) { copy(l[30:], "data.pkl") }),
		"unknown method":                 rawZip("data.pkl", bad, func(l, c []byte) { l[8], c[10] = 14, 14 }),
		"entry that is not listed":       append(rawZip("hidden", bad, nil)[:36+len(bad)], rawZip("data.pkl", plain(), nil)...),
		"outside the folder":             stored("../../x.py", []byte("print()")),
		"no directory":                   rawZip("data.pkl", bad, nil)[:40+len(bad)],
		"zip behind safetensors":         append(tensors(make([]byte, 64)), stored("data.pkl", bad)...),
		"zip as a tensor":                tensors(stored("data.pkl", bad)),
		"zip behind GGUF":                append([]byte("GGUF\x03\x00\x00\x00"), stored("data.pkl", bad)...),
		"zip behind text":                append([]byte("# A model\n"), stored("data.pkl", plain())...),
		"zip behind a pickle":            append(plain(), stored("data.pkl", bad)...),
		"tar":                            tarOf(t, member{"pickle", bad}),
		"tar without a mark":             oldTar(tarOf(t, member{"pickle", bad})),
		"tar with a link":                tarOf(t, member{"x", nil}),
		"tar in gzip":                    gzipOf(t, tarOf(t, member{"pickle", bad})),
		"gzip":                           gzipOf(t, bad),
		"gzip in gzip":                   gzipOf(t, gzipOf(t, bad)),
		"zlib":                           zlibOf(t, bad),
		"cut off gzip":                   gzipOf(t, bytes.Repeat(bad, 1000))[:60],
		"zip in gzip":                    gzipOf(t, stored("x", bad)),
		"7z":                             []byte("7z\xbc\xaf\x27\x1c\x00\x04xxxxxxxxxxxxxxxxxxxxxxxx"),
		"xz":                             []byte("\xfd7zXZ\x00\x00\x04xxxxxxxxxx"),
		"lzma":                           []byte("\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"),
		"lz4":                            []byte("\x04\x22\x4d\x18\x64\x40\xa7xxxx"),
		"zstandard":                      []byte("\x28\xb5\x2f\xfd\x04\x00xxxx"),
		"RAR":                            []byte("Rar!\x1a\x07\x01\x00"),
		"array of objects":               array("'|O'", bad),
		"array of objects, harmless":     array("'O'", plain()),
		"array with an object in it":     array("[('a', '<i4'), ('b', '|O')]", bad),
		"array described in escapes":     array(`'\x4f'`, bad),
		"arrays of objects in a zip":     stored("a.npy", array("'O'", bad)),
		"Keras model with code":          stored("config.json", []byte(`{"class_name": "Functional", "config": {"layers": [{"class_name": "Lambda"}]}}`)),
		"Keras model with escaped code":  stored("config.json", []byte(`{"class_name":"\u004cambda"}`)),
		"Keras class of another module":  stored("config.json", []byte(`{"module": "os", "class_name": "function", "config": "system"}`)),
		"HDF5 with code":                 append(append([]byte("\x89HDF\r\n\x1a\n"), make([]byte, 3<<20)...), `{"class_name": "Lambda"}`...),
		"HDF5 behind a user block":       append(append(make([]byte, 512), "\x89HDF\r\n\x1a\n"...), `{"class_name": "Lambda"}`...),
		"ELF":                            []byte("\x7fELF\x02\x01\x01\x00"),
		"PE":                             portable(),
		"Mach-O":                         []byte("\xcf\xfa\xed\xfe\x07\x00\x00\x01"),
		"WebAssembly":                    []byte("\x00asm\x01\x00\x00\x00"),
		"Python bytecode":                []byte("\xcb\x0d\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe3\x00"),
		"Office with macros":             stored("word/vbaProject.bin", []byte("x")),
		"shortcut":                       []byte("\x4c\x00\x00\x00\x01\x14\x02\x00\x00"),
		"operators of paths that escape": external("../../etc/passwd"),
	}
	if len(tests) < 50 {
		t.Fatalf("%d evasions", len(tests))
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range []string{"model.safetensors", "README.md"} {
				if items := look(t, file, p); worst(items) != content.Bad {
					t.Errorf("as %s: %+v", file, items)
				}
			}
		})
	}
}

// oldTar is a tar archive as it was before POSIX, without the word that marks it.
func oldTar(p []byte) []byte {
	clear(p[257:512])
	sum := 0
	copy(p[148:], "        ")
	for _, b := range p[:512] {
		sum += int(b)
	}
	digits := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		digits[i] = byte('0' + sum%8)
		sum /= 8
	}
	copy(p[148:], digits)
	return p
}

func portable() []byte {
	p := make([]byte, 256)
	copy(p, "MZ")
	binary.LittleEndian.PutUint32(p[60:], 128)
	copy(p[128:], "PE\x00\x00")
	return p
}

// external is an ONNX model of one tensor whose data lie in another file.
func external(location string) []byte {
	field := func(n byte, p string) string { return string([]byte{n<<3 | 2, byte(len(p))}) + p }
	entry := field(1, "location") + field(2, location)
	tensor := "\x08\x04" + "\x10\x02" + field(8, "w") + field(13, entry) + "\x70\x01"
	return []byte("\x08\x08" + field(7, field(2, "g")+field(5, tensor)))
}

// TestOdd are formats that can hold programs, in which none was found: never nothing, never more than a warning.
func TestOdd(t *testing.T) {
	t.Parallel()
	tests := map[string][]byte{
		"plain pickle":        plain(),
		"zip of a text":       zipOf(t, zip.Deflate, member{"a.txt", []byte("hello")}),
		"gzip of a text":      gzipOf(t, []byte("hello")),
		"tar of a text":       tarOf(t, member{"a.txt", []byte("hello")}),
		"script":              []byte("#!/bin/sh\necho\n"),
		"HTML with a script":  []byte("<!DOCTYPE html><html><script>alert(1)</script>"),
		"SVG with a handler":  []byte(`<svg xmlns="x" onload="alert(1)"/>`),
		"PDF with JavaScript": []byte("%PDF-1.7\n<< /OpenAction << /S /JavaScript >> >>"),
		"half a pickle":       {0x80, 0x04, 0xff, 0xff},
	}
	for _, file := range []string{"zip2.pt", "zip4.pt", "zip5.pt", "legacy2.pt", "legacy4.pt", "legacy5.pt"} {
		p, err := os.ReadFile(filepath.Join("..", "..", "..", "inference", "pickle", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		tests[file] = p
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if items := look(t, name, p); worst(items) != content.Odd {
				t.Errorf("%+v", items)
			}
		})
	}
}

// TestData are files that hold nothing to run.
func TestData(t *testing.T) {
	t.Parallel()
	tests := map[string][]byte{
		"nothing":         {},
		"JSON":            []byte(`{"class_name": "Dense", "module": "keras.layers"}`),
		"vocabulary":      []byte("cat\ndog\nbird\n"),
		"words":           []byte("cos\nsystem\nall\n"),
		"merges":          []byte("#version: 0.2\ni n\n"),
		"Markdown":        []byte("# Title\n\nBZh is how bzip2 begins.\n"),
		"BZh":             []byte("BZh is how bzip2 begins\n"),
		"MZ":              []byte("MZ is how programs begin. " + strings.Repeat("x", 60)),
		"zeros":           make([]byte, 4096),
		"tensors":         tensors([]byte{1, 2, 3, 4}),
		"array":           array("'<f4'", []byte{0, 0, 0, 0}),
		"arrays":          zipOf(t, zip.Store, member{"a.npy", array("'<f4'", []byte{0, 0, 0, 0})}),
		"HTML":            []byte("<html><body>plain</body></html>"),
		"a word of Keras": []byte("The class_name is Lambda."),
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if items := look(t, name, p); worst(items) != content.Noted {
				t.Errorf("%+v", items)
			}
		})
	}
}

// TestBombs are small files that want much; looking ends with a statement.
func TestBombs(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 65<<20)
	packed := gzipOf(t, zeros)
	deep := plain()
	for range 20 {
		deep = zipOf(t, zip.Store, member{"a", deep})
	}
	for name, p := range map[string][]byte{
		"zeros in gzip":    packed,
		"zeros in zip":     zipOf(t, zip.Deflate, member{"a", zeros}),
		"zips in zips":     deep,
		"gzip of the same": gzipOf(t, packed),
	} {
		if items := look(t, name, p); worst(items) != content.Bad {
			t.Errorf("%s: %+v", name, items)
		}
	}
}

func FuzzLook(f *testing.F) {
	f.Add(call("os", "system", "id"))
	f.Add(stackCall("os", "system"))
	f.Add(rawZip("data.pkl", plain(), nil))
	f.Add(tarOf(f, member{"a", plain()}))
	f.Add(gzipOf(f, plain()))
	f.Add(array("'O'", plain()))
	f.Add(external("weights.bin"))
	f.Add(append([]byte("\x89HDF\r\n\x1a\n"), `{"class_name": "Lambda"}`...))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, i := range look(t, "file", p) {
			if i.Kind == "" || i.Severity > content.Noted && i.Reason == "" || strings.ToValidUTF8(i.Where, "") != i.Where {
				t.Fatalf("%+v", i)
			}
		}
	})
}
