"""Pickles of texts, whole numbers, lists and uint8 arrays, read without running what they name.

A pickle is a program for a machine with a stack. This is that machine, with the opcodes that the
picklers of Python 2 (protocol 2) and Python 3 (protocols 2 to 5) write for such data, and no more:
what is not here cannot happen. A file names functions, but gets ours, below, which build uint8
arrays from bytes of the right number. Memory is bounded by the number of opcodes and the length of
the file. The format is that of the standard library's pickletools.
"""

import math
import pickle as op
from pickle import UnpicklingError

import numpy as np

MOST_OPCODES = 1_000_000  # CIFAR-100 takes half of it, where protocol 2 pickles it anew
LONGEST_KEY = 100  # in letters; CIFAR's have 16 at most
LATIN = bytes(range(0xC4))  # what letters up to 0xFF are made of in UTF-8

# Opcode -> bytes that follow: those of a number, or of the size of what follows then.
NUMBERS = {op.BININT1: 1, op.BININT2: 2, op.BININT: 4}
BYTES = {op.SHORT_BINSTRING: 1, op.BINSTRING: 4, op.SHORT_BINBYTES: 1, op.BINBYTES: 4,
         op.BYTEARRAY8: 8}
TEXTS = {op.SHORT_BINUNICODE: 1, op.BINUNICODE: 4}
PUTS = {op.BINPUT: 1, op.LONG_BINPUT: 4}
GETS = {op.BINGET: 1, op.LONG_BINGET: 4}
# Opcode -> what it pushes; how many values it makes a tuple of.
CONSTANTS = {op.NONE: None, op.NEWTRUE: True, op.NEWFALSE: False}
TUPLES = {op.TUPLE1: 1, op.TUPLE2: 2, op.TUPLE3: 3}


def unpickle(raw):
    """The dict that is pickled in the bytes `raw`; its keys are str.

    Values are str, bytes, int, bool, None, lists and tuples of them, and arrays uint8 of one or
    two dimensions (read only). Raises an Exception of any kind where it is anything else.
    """
    machine = _Machine(raw)
    for _ in range(MOST_OPCODES):
        code = machine.take(1)
        if code == op.STOP:
            found = machine.stack.pop()
            _check(type(found) is dict, "not a dict")
            return {key: value.pixels if isinstance(value, _Array) else value
                    for key, value in found.items()}
        machine.do(code)
    raise UnpicklingError(f"more than {MOST_OPCODES:,} opcodes")


def text(value):
    """The str of a text, which Python 2 pickled as bytes. Raises UnpicklingError for others."""
    _check(type(value) in (str, bytes), "not a text")
    return value.decode("latin1") if type(value) is bytes else value


class _Machine:
    def __init__(self, raw):
        self.raw, self.at = raw, 0
        self.stack, self.below = [], []  # below: the stacks as they were at each MARK
        self.memo = {}
        self.encoded = 0  # bytes that texts were encoded to

    def take(self, size):
        """The next `size` bytes."""
        _check(size <= len(self.raw) - self.at, "ends early")
        self.at += size
        return self.raw[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def line(self):
        end = self.raw.index(b"\n", self.at, self.at + 100)
        return self.take(end + 1 - self.at)[:-1].decode("ascii")

    def pop(self, count):
        """The last `count` values, off the stack."""
        _check(count <= len(self.stack), "the stack is empty")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_mark(self):
        """All values since the last MARK, off the stack."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def do(self, code):
        """One opcode, the most frequent first."""
        push = self.stack.append
        if code in NUMBERS:
            push(int.from_bytes(self.take(NUMBERS[code]), "little", signed=code == op.BININT))
        elif code in BYTES:
            push(self.take(self.number(BYTES[code])))
        elif code in PUTS:
            self.put(self.number(PUTS[code]))
        elif code == op.MEMOIZE:
            self.put(len(self.memo))
        elif code in GETS:
            push(self.memo[self.number(GETS[code])])
        elif code in TEXTS:
            push(_decoded(self.take(self.number(TEXTS[code]))))
        elif code in TUPLES:
            values = self.pop(TUPLES[code])
            push(tuple(values))
        elif code == op.REDUCE:
            name, values = self.pop(2)
            _check(type(name) is _Name and type(values) is tuple, "a call of no function")
            made = name.function(*values)
            if type(made) is bytes:  # of a text in the file, which may be encoded once
                self.encoded += len(made)
                _check(self.encoded <= len(self.raw), "encodes a text again and again")
            push(made)
        elif code in CONSTANTS:
            push(CONSTANTS[code])
        elif code == op.MARK:
            self.below.append(self.stack)
            self.stack = []
        elif code == op.TUPLE:
            values = self.pop_mark()
            self.stack.append(tuple(values))
        elif code == op.EMPTY_LIST:
            push([])
        elif code in (op.APPEND, op.APPENDS):
            values = self.pop(1) if code == op.APPEND else self.pop_mark()
            _check(type(self.stack[-1]) is list, "appends to no list")
            self.stack[-1].extend(values)
        elif code == op.EMPTY_DICT:
            push({})
        elif code in (op.SETITEM, op.SETITEMS):
            values = self.pop(2) if code == op.SETITEM else self.pop_mark()
            _set_items(self.stack[-1], values)
        elif code == op.GLOBAL:
            push(_name(self.line(), self.line()))
        elif code == op.STACK_GLOBAL:
            push(_name(*self.pop(2)))
        elif code == op.BUILD:
            [state] = self.pop(1)
            _build(self.stack[-1], state)
        elif code == op.PROTO:
            _check(self.take(1) <= b"\5", "a protocol later than 5")
        elif code == op.FRAME:
            _check(self.number(8) <= len(self.raw) - self.at, "ends early")
        else:
            raise UnpicklingError(f"opcode {code!r} is not allowed")

    def put(self, index):
        _check(index < MOST_OPCODES, "a memo too large")
        self.memo[index] = self.stack[-1]


def _check(holds, fault):
    if not holds:
        raise UnpicklingError(fault)


def _decoded(raw):
    """Text in UTF-8, of letters up to 0xFF: those beyond take up to four bytes each."""
    _check(not raw.translate(None, LATIN), "letters beyond Latin-1")
    return raw.decode()


def _set_items(target, values):
    _check(type(target) is dict, "sets items of no dict")
    for key, value in zip(values[::2], values[1::2], strict=True):
        key = text(key)  # nothing else is hashed: that of nested tuples recurses
        _check(len(key) <= LONGEST_KEY, "a key too long")  # the str of bytes is a copy, each time
        _check(key not in target, "a key is there twice")
        target[key] = value


# What stands in for the functions that a file names.


class _Array:
    pixels = None  # until it is built

    def build(self, content, dtype, shape, order):
        """As numpy.frombuffer(content, uint8).reshape(shape, order=order)."""
        _check(dtype is UINT8 and type(content) is bytes, "an array of other things than bytes")
        _check(type(shape) is tuple and len(shape) in (1, 2)
               and all(type(side) is int and side > 0 for side in shape)
               and math.prod(shape) == len(content), "bytes that do not fit an array's shape")
        self.pixels = np.frombuffer(content, np.uint8).reshape(shape, order=order)


class _Name:
    """A function as a file names it."""

    def __init__(self, function):
        self.function = function


def _reconstruct(kind, shape, code):
    _check(kind is NAMES["numpy", "ndarray"] and shape == (0,) and text(code) == "b",
           "an array of another kind")
    return _Array()


def _frombuffer(content, dtype, shape, order):
    _check(order in ("C", "F"), "an array in another order")
    array = _Array()
    array.build(content, dtype, shape, order)
    return array


def _dtype(code, align, copy):
    _check(text(code) == "u1" and align in (False, 0) and copy in (True, 1), "a dtype but uint8")
    return UINT8


def _encode(content, codec):
    _check(type(content) is str and codec == "latin1", "encodes in other ways than latin1")
    return content.encode("latin1")


def _build(target, state):
    _check(type(state) is tuple, "builds from no tuple")
    if type(target) is _Array:
        version, shape, dtype, fortran, content = state
        _check(version == 1 and type(fortran) is bool and target.pixels is None, "no array")
        target.build(content, dtype, shape, "F" if fortran else "C")
    else:
        _check(target is UINT8 and len(state) == 8 and text(state[1]) == "|"
               and state[:1] + state[2:] == (3, None, None, None, -1, -1, 0), "a dtype but uint8")


def _name(module, function):
    module, function = text(module), text(function)
    key = module.replace("numpy.core", "numpy._core"), function  # its name before NumPy 2
    _check(key in NAMES, f"{f'{module}.{function}'[:80]!r} is not allowed")
    return NAMES[key]


def _no_call(*_):
    raise UnpicklingError("a call of no function")


UINT8 = object()
NAMES = {("numpy._core.multiarray", "_reconstruct"): _Name(_reconstruct),
         ("numpy._core.numeric", "_frombuffer"): _Name(_frombuffer),
         ("numpy", "ndarray"): _Name(_no_call), ("numpy", "dtype"): _Name(_dtype),
         ("_codecs", "encode"): _Name(_encode)}
