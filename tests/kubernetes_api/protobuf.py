"""Secrets in the binary encoding of Kubernetes, which typed Go clients such as helm's prefer for what they send.

The numbers of the fields are those of `generated.proto` in k8s.io/apimachinery and k8s.io/api/core/v1.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from tests.kubernetes_api.kinds import Object, Refusal

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
VARINT, BYTES = 0, 2

Field = tuple[int, bytes]


def decode(data: bytes) -> Object:
    """The Secret that a body holds.

    Raises:
        Refusal: it holds another kind.
    """
    envelope = dict(_fields(data.removeprefix(MAGIC)))
    api_version, kind = (text.decode() for _, text in sorted(_fields(envelope[1])))
    if (api_version, kind) != ("v1", "Secret"):
        raise Refusal(415, "UnsupportedMediaType", f"{CONTENT_TYPE} of {api_version} {kind}")
    secret = list(_fields(envelope[2]))
    scalars = dict(secret)
    found: Object = {"apiVersion": api_version, "kind": kind, "metadata": _metadata(scalars[1])}
    found["data"] = {name.decode(): base64.b64encode(value).decode() for name, value in _map(secret, 2)}
    if 3 in scalars:
        found["type"] = scalars[3].decode()
    return found


def _metadata(data: bytes) -> Object:
    fields = list(_fields(data))
    scalars = dict(fields)
    names = {1: "name", 3: "namespace", 5: "uid", 6: "resourceVersion"}
    found: Object = {name: scalars[number].decode() for number, name in names.items() if scalars.get(number)}
    for number, name in {11: "labels", 12: "annotations"}.items():
        if entries := {key.decode(): value.decode() for key, value in _map(fields, number)}:
            found[name] = entries
    return found


def _map(fields: list[Field], wanted: int) -> Iterator[tuple[bytes, bytes]]:
    for number, entry in fields:
        if number == wanted:
            parts = dict(_fields(entry))
            yield parts.get(1, b""), parts.get(2, b"")


def _fields(data: bytes) -> Iterator[Field]:
    """Numbers and contents of the fields of a message that have a length."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        value, place = _varint(data, place)
        match tag & 7:
            case wire if wire == BYTES:
                yield tag >> 3, data[place : place + value]
                place += value
            case wire if wire != VARINT:
                raise Refusal(400, "BadRequest", f"wire type {wire}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[place]
        result |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return result, place
