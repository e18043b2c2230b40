"""Writes the files of this folder with Python's own pickler: checkpoints in PyTorch's layouts, for which the few classes that
they name are stand-ins, and a dictionary of everything in each protocol. Run it in this folder with Python 3.8 or later."""

import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile


def module(name):
    sys.modules[name] = types.ModuleType(name)
    return sys.modules[name]


def put(thing, where, name):
    thing.__module__, thing.__qualname__, thing.__name__ = where.__name__, name, name
    setattr(where, name, thing)
    return thing


torch, utils = module("torch"), module("torch._utils")
rebuild_tensor = put(lambda *args: None, utils, "_rebuild_tensor_v2")
rebuild_parameter = put(lambda *args: None, utils, "_rebuild_parameter")
FloatStorage = put(type("FloatStorage", (), {}), torch, "FloatStorage")
HalfStorage = put(type("HalfStorage", (), {}), torch, "HalfStorage")


class Storage:
    def __init__(self, kind, key, count, data):
        self.kind, self.key, self.count, self.data = kind, key, count, data


class Tensor:
    def __init__(self, *place):
        self.place = place

    def __reduce_ex__(self, protocol):
        return rebuild_tensor, (*self.place, False, collections.OrderedDict())


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce_ex__(self, protocol):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Command:
    def __reduce__(self):
        return os.system, ("echo hi",)


def dump(thing, to, protocol, view):
    class Pickler(pickle._Pickler):
        def persistent_id(self, o):
            if isinstance(o, Storage):
                return ("storage", o.kind, o.key, "cpu", o.count) + view

    Pickler(to, protocol).dump(thing)


floats = Storage(FloatStorage, "0", 6, struct.pack("<6f", 0, 1, 2, 3, 4, float("nan")))
halves = Storage(HalfStorage, "1", 4, struct.pack("<4e", 1, 2, 3, 4))
state = collections.OrderedDict()
state["embed.weight"] = Parameter(Tensor(floats, 0, (2, 3), (3, 1)))
state["head.weight"] = state["embed.weight"]
state["view"] = Tensor(floats, 3, (3,), (1,))
state["transposed"] = Tensor(floats, 0, (3, 2), (1, 3))
state["half"] = Tensor(halves, 0, (4,), (1,))
state["scalar"] = Tensor(halves, 3, (), ())

for protocol in (2, 4, 5):
    with open(f"legacy{protocol}.pt", "wb") as f:
        dump(0x1950A86A20F9469CFC6C, f, protocol, (None,))
        dump(1001, f, protocol, (None,))
        dump({"protocol_version": 1001, "little_endian": True}, f, protocol, (None,))
        dump(state, f, protocol, (None,))
        dump(["0", "1"], f, protocol, (None,))
        for s in floats, halves:
            f.write(struct.pack("<q", s.count) + s.data)
    b = io.BytesIO()
    dump({"state_dict": state, "epoch": 3}, b, protocol, ())
    with zipfile.ZipFile(f"zip{protocol}.pt", "w") as z:
        z.writestr("archive/data.pkl", b.getvalue())
        z.writestr("archive/byteorder", "little")
        for s in floats, halves:
            z.writestr("archive/data/" + s.key, s.data)
        z.writestr("archive/version", "3\n")

everything = {
    "values": [1, 2.5, None, True, "x", b"y", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {1}, frozenset([3]), {"k": "v"}],
    "numbers": [2**100, -(2**70), -5, 300, 70000, -(2**31), 2**40],
    "texts": ["\u20ac\n\\", bytearray(b"q"), "long " * 100],
    "call": Command(),
}
everything["itself"] = everything
for protocol in range(6):
    with open(f"plain{protocol}.pkl", "wb") as f:
        pickle.dump(everything, f, protocol)
