"""As much of ONNX's file format as reading one model's weights and writing one graph take.

Strategy:

- Protobuf is fields of (number, value); the few numbers used here are from onnx/onnx.proto. The ``onnx``
  package would be 15 MB and a C++ protobuf for these two functions.
- Reading trusts its input: callers check the file's digest first.
- Values in a graph are known by name; `Graph` makes the names up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: A size in a shape; a name where it is free.
Shape: TypeAlias = tuple[int | str, ...]

_IR_VERSION: Final = 8
_OPSET: Final = 13
_FLOAT, _INT64 = 1, 7
_ATTRIBUTE_INT = 2


def branch(model: bytes, name: str) -> bytes:
    """The subgraph called `name` (``then_branch``, ``else_branch``) of the model's first ``If``."""
    graph = _first(model, 7)
    condition = next(node for node in _every(graph, 1) if _first(node, 4) == b"If")
    attributes = _every(condition, 5)
    return next(_first(attribute, 6) for attribute in attributes if _first(attribute, 1) == name.encode())


def constants(graph: bytes) -> dict[str, NDArray[np.float32]]:
    """Every float array that the graph holds as a ``Constant``, by the name of its output."""
    found = {}
    for node in _every(graph, 1):
        if _first(node, 4) != b"Constant":
            continue
        tensor = _first(_first(node, 5), 5)
        shape = [value for number, value in _fields(tensor) if number == 1 and isinstance(value, int)]
        if shape and (2, _FLOAT) in _fields(tensor):
            found[_first(node, 2).decode()] = np.frombuffer(_first(tensor, 9), np.float32).reshape(shape)
    return found


class Graph:
    """A graph under construction. Each call adds a node and returns the names of what it yields."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, values: NDArray[Any]) -> str:
        """A tensor of float32 or int64."""
        name = f"c{len(self._constants)}"
        kind = _INT64 if values.dtype == np.int64 else _FLOAT
        tensor = b"".join(_field(1, size) for size in values.shape) + _field(2, kind)
        tensor += _field(8, name.encode()) + _field(9, np.ascontiguousarray(values).tobytes())
        self._constants.append(tensor)
        return name

    def node(self, operation: str, *inputs: str, name: str = "", **attributes: int) -> str:
        """A node of one output, called `name` if that matters."""
        return self._add(operation, inputs, (name or f"n{len(self._nodes)}",), attributes)[0]

    def nodes(self, operation: str, *inputs: str, outputs: int, **attributes: int) -> tuple[str, ...]:
        """A node of several outputs."""
        names = tuple(f"n{len(self._nodes)}_{index}" for index in range(outputs))
        return self._add(operation, inputs, names, attributes)

    def model(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bytes:
        """The file: what goes in and comes out, all float32."""
        graph = b"".join(_field(1, node) for node in self._nodes) + _field(2, b"graph")
        graph += b"".join(_field(5, tensor) for tensor in self._constants)
        graph += b"".join(_field(11, _value_info(name, shape)) for name, shape in inputs.items())
        graph += b"".join(_field(12, _value_info(name, shape)) for name, shape in outputs.items())
        return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))

    def _add(
        self, operation: str, inputs: tuple[str, ...], outputs: tuple[str, ...], attributes: Mapping[str, int]
    ) -> tuple[str, ...]:
        node = b"".join(_field(1, name.encode()) for name in inputs)
        node += b"".join(_field(2, name.encode()) for name in outputs)
        node += _field(4, operation.encode())
        for key, value in attributes.items():
            node += _field(5, _field(1, key.encode()) + _field(3, value) + _field(20, _ATTRIBUTE_INT))
        self._nodes.append(node)
        return outputs


def _value_info(name: str, shape: Shape) -> bytes:
    dims = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size.encode())) for size in shape
    )
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, dims)))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value; fixed-size numbers come as their bytes."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        if tag & 7 == 0:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        size, at = _read_varint(message, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
        yield tag >> 3, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _every(message: bytes, number: int) -> Iterator[bytes]:
    return (value for found, value in _fields(message) if found == number and isinstance(value, bytes))


def _first(message: bytes, number: int) -> bytes:
    """The first such field, empty when there is none (as protobuf itself reads it)."""
    return next(_every(message, number), b"")
