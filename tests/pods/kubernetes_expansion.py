"""What a kubelet does to `command`, `args` and `env`: a port of its own function.

From k8s.io/kubernetes/third_party/forked/golang/expansion/expand.go.
"""

from __future__ import annotations


def expand(text: str, variables: dict[str, str]) -> str:
    """The text as the container gets it."""
    data, out, at = text.encode(), bytearray(), 0
    while at < len(data):
        if data[at : at + 1] != b"$" or at + 1 == len(data):
            out += data[at : at + 1]
            at += 1
            continue
        found, length = _after_dollar(data[at + 1 :], variables)
        out += found
        at += 1 + length
    return out.decode(errors="replace")


def _after_dollar(rest: bytes, variables: dict[str, str]) -> tuple[bytes, int]:
    if rest[:1] == b"$":
        return b"$", 1
    if rest[:1] == b"(":
        end = rest.find(b")")
        if end < 0:
            return b"$(", 1
        name = rest[1:end].decode()
        return variables.get(name, f"$({name})").encode(), end + 1
    # `string(operator) + string(input[0])` in Go: the byte becomes a character of its own.
    return b"$" + chr(rest[0]).encode(), 1
