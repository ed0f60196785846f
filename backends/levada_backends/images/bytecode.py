"""Bytecode of a layer's Python files, the same bytes from every process of the same Python.

Run as a script by the Python that the image has (its minor version; the format changes with it),
it reads ``path``, ``mode`` and source of one file after another from standard input and writes
their ``.pyc`` files, deflated, to standard output. Without bytecode a container that cannot write
to its own packages compiles everything that it imports anew on every start.

Standard library only, and nothing of Levada: it runs isolated (``-I -S``), and in other Pythons.
"""

from __future__ import annotations

import contextlib
import marshal
import struct
import sys
import warnings
import zlib
from importlib import util
from types import CodeType

#: What ``marshal`` writes that means "as before", and how a ``.pyc`` says what it goes with
#: (PEP 552): by the hash of its source, looked at on import or not.
CHECKED, UNCHECKED = 3, 1
_FRAME = struct.Struct("<III")  # the lengths of a path and a source, and the flags
_ANSWER = struct.Struct("<III")  # the length, the CRC-32 and the deflated length


def compile_source(path: str, source: bytes, flags: int) -> bytes:
    """Give the ``.pyc`` of a file that will be at ``path``; nothing if it does not compile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return b""  # such files stand in wheels, as templates or for other versions
    # marshal notes which objects it may meet again by their reference counts, which depend on what
    # else the process holds. One more reference to each makes all of them the same.
    held: list[object] = []
    _hold(code, held)
    head = util.MAGIC_NUMBER + struct.pack("<I", flags) + util.source_hash(source)
    return head + marshal.dumps(code)


def _hold(value: object, held: list[object]) -> None:
    held.append(value)
    if isinstance(value, CodeType):
        parts = (value.co_code, value.co_filename, value.co_name, value.co_linetable)
        for part in (*parts, value.co_consts, value.co_names, value.co_varnames):
            _hold(part, held)
        for part in (value.co_cellvars, value.co_freevars):
            _hold(part, held)
        _hold(value.co_qualname, held)
        _hold(value.co_exceptiontable, held)
    elif isinstance(value, (tuple, frozenset)):
        for part in value:
            _hold(part, held)


def _main() -> None:
    read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
    sys.setrecursionlimit(20_000)
    while head := read(_FRAME.size):
        path_length, length, flags = _FRAME.unpack(head)
        path = read(path_length).decode("utf-8", "surrogateescape")
        bytecode = compile_source(path, read(length), flags)
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(bytecode) + packer.flush()
        write(_ANSWER.pack(len(bytecode), zlib.crc32(bytecode), len(packed)))
        write(packed)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        _main()
        sys.stdout.flush()
