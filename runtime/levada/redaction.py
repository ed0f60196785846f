"""Keep the values of secrets out of logs, records and stored diffs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

MASK = "***"
#: A shorter text is no secret: hiding it would only make everything else unreadable.
SHORTEST = 3
#: Nor is a shorter line of a secret, or a shorter part of what a step returns: the secret `dev` is
#: found in `{"stage": "dev"}`, but not in `developer`. It is also not sought across line ends.
SHORTEST_PART = 6
#: Base64 characters of a secret amid other text; fewer could stand there by chance.
_SHORTEST_CORE = 10
_SPACES = b" \t\r\n"
#: Characters that a terminal does not show, and a control sequence, such as a colour.
_UNSEEN = (
    b"\0",
    b"\b",
    b"\x7f",
    *(chr(code).encode() for code in (0x200B, 0x200D, 0x2060, 0xFEFF)),
)
_SEQUENCE = rb"\x1b\[[0-?]*[ -/]*[@-~]"
#: Bytes at the end of a chunk in which the start of a sequence is looked for.
_LONGEST_SEQUENCE = 64
_BLOCK = 64  # bytes of a text whose white space is counted together
#: Bytes by which the start of a secret at the end of a chunk is found, and how often that is tried.
_ANCHOR = 8
_MOST_STARTS = 16

#: What an exception has said, of the fields of an error.
_TOLD = ("message", "args", "traceback", "frames")
#: What an exception is, of these fields.
_CLASS = ("type", "module", "bases")

#: Tokens that are recognised by their form wherever they stand.
_TOKENS = (
    r"AKIA[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{40,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[abprs]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)-----END [A-Z ]*PRIVATE KEY-----",
    r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)",
    r"(?<=_authToken=)[^\s\"']{6,}",
    r"(?<=\"auth\": \")[A-Za-z0-9+/=]{6,}",
    r"(?<=\"auth\":\")[A-Za-z0-9+/=]{6,}",
)


class Redactor:
    """Replaces secrets in a stream of bytes, also one that two chunks share.

    However the stream is cut into chunks, what comes out is the same.
    """

    __slots__ = ("_held", "_search")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._search = _search_for(secrets)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be shown by now; the start of what may be a secret is held back."""
        return self._shown(chunk, is_end=False) if self._search.forms else chunk

    def settle(self) -> bytes:
        """Return what is held if it is the end of a line with few characters of a secret.

        For a stream that pauses. Most lines end with a character that some secret begins with.
        """
        if len(self._held.rstrip(_SPACES)) < SHORTEST_PART and self._held.endswith((b"\n", b"\r")):
            return self.flush()
        return b""

    def flush(self) -> bytes:
        """Return what was held back: the stream is over."""
        return self._shown(b"", is_end=True)

    def _shown(self, chunk: bytes, *, is_end: bool) -> bytes:
        data, rest = self._held + chunk, b""
        if not is_end and data.endswith(b"\\"):  # with an `n` it is an escaped line end
            size = 2 if data.endswith(b"\\\\") else 1
            data, rest = data[:-size], data[-size:]
        elif not is_end and (begun := _begun_sequence(data)):
            data, rest = data[:-begun], data[-begun:]
        shown, cut = self._search.masked(data, is_end=is_end)
        self._held = data[cut:] + rest
        return shown


class _Search:
    """Finds secrets in texts, in any of their forms.

    What is searched are the text and the forms without white space, so that a secret is found in
    lines of any width and indentation, also where these lines are escaped in a string. Each form
    is sought by ``bytes.find``: its time is linear in the worst case too, and for hundreds of
    forms it is faster than an alternation of `re`.
    """

    __slots__ = ("_exact", "_starts", "forms")

    def __init__(self, texts: Iterable[str]) -> None:
        #: the forms as they are, by what they are without white space
        self._exact: dict[bytes, set[bytes]] = {}
        for data in {data for text in texts for data in _written(text)}:
            data = _unescaped(data)
            squeezed = data.translate(None, _SPACES)
            if len(squeezed) >= SHORTEST:
                self._exact.setdefault(squeezed, set()).add(data.strip(_SPACES))
        self.forms = sorted(self._exact, key=lambda form: (-len(form), form))
        #: all starts of forms that are shorter than an anchor
        self._starts = {
            form[:size] for form in self.forms for size in range(1, min(_ANCHOR, len(form)))
        }

    def masked(self, data: bytes, *, is_end: bool = True) -> tuple[bytes, int]:
        """Return the first bytes of a text with secrets replaced, and how many bytes these are.

        Without ``is_end`` that is up to where a secret may begin that goes on after the text.
        """
        text = _Text(data)
        squeezed = text.squeezed
        size = len(squeezed)
        begun = size if is_end else self._begun(squeezed, 0)
        shown: list[bytes] = []
        place = 0
        for start, end, first, last in self._found(text):
            if start >= begun:
                break
            shown += (data[place:first], MASK.encode())
            place = last
            if begun < end:  # what began there is a part of what was found
                begun = self._begun(squeezed, end)
        cut = text.place(begun) if begun < size else len(data)
        return b"".join([*shown, data[place:cut]]), cut

    def is_in(self, data: bytes) -> bool:
        """Return whether a text has a secret."""
        return next(self._found(_Text(data)), None) is not None

    def _found(self, text: _Text) -> Iterator[tuple[int, int, int, int]]:
        """Give the places of secrets, in order; of several that start at one place the longest.

        A place is a start and an end in the text without white space, and the same in the text.
        """
        from heapq import heapify, heappop, heapreplace

        squeezed, position = text.squeezed, 0
        heap = [
            (start, rank, form)
            for rank, form in enumerate(self.forms)
            if (start := squeezed.find(form)) >= 0
        ]
        heapify(heap)
        while heap:
            start, rank, form = heap[0]
            place = text.find(form, start, self._exact[form]) if start >= position else None
            if place is not None:
                position = start + len(form)
                yield start, position, *place
            following = squeezed.find(form, max(position, start + 1))
            if following < 0:
                heappop(heap)
            else:
                heapreplace(heap, (following, rank, form))

    def _begun(self, squeezed: bytes, position: int) -> int:
        """Return the first place from ``position`` where a secret may begin that goes on.

        It may be too early, which only holds more back: of a secret that repeats itself
        (``aaaa…b``) few places are tried, or the time would be quadratic.
        """
        first = size = len(squeezed)
        for place in range(max(position, size - _ANCHOR + 1), size):
            if squeezed[place:] in self._starts:
                first = place
                break
        for form in self.forms:
            if len(form) <= _ANCHOR:  # they are sorted: the rest is shorter
                break
            anchor, tries = form[:_ANCHOR], 0
            place = squeezed.find(anchor, max(position, size - len(form) + 1), first + _ANCHOR)
            while place >= 0 and tries < _MOST_STARTS and not form.startswith(squeezed[place:]):
                place, tries = squeezed.find(anchor, place + 1, first + _ANCHOR), tries + 1
            if place >= 0:
                first = min(first, place)
        return first


class _Text:
    """A text, and the same without white space."""

    __slots__ = ("_counts", "_data", "squeezed")

    def __init__(self, data: bytes) -> None:
        self._data = _unescaped(data)
        self.squeezed = self._data.translate(None, _SPACES)
        self._counts: list[int] | None = None  # of bytes in ``squeezed`` before each block

    def place(self, index: int) -> int:
        """Return the place in the text of a byte in ``squeezed``."""
        from bisect import bisect_right

        if self._counts is None:  # few texts have a secret
            self._counts = self._count()
        block = bisect_right(self._counts, index) - 1
        start, count = block * _BLOCK, index - self._counts[block]
        low, high = start, start + _BLOCK
        while low < high:
            middle = (low + high) // 2
            if len(self._data[start : middle + 1].translate(None, _SPACES)) <= count:
                low = middle + 1
            else:
                high = middle
        return low

    def _count(self) -> list[int]:
        counts = [0]
        for start in range(0, len(self._data) - _BLOCK, _BLOCK):
            block = self._data[start : start + _BLOCK].translate(None, _SPACES)
            counts.append(counts[-1] + len(block))
        return counts

    def find(self, form: bytes, start: int, exact: set[bytes]) -> tuple[int, int] | None:
        """Return where a form stands as it is, or with white space at line ends; None if neither.

        It is known to start at ``start`` in ``squeezed``.
        """
        first, last = self.place(start), self.place(start + len(form) - 1) + 1
        piece = self._data[first:last]
        is_split = b"\n" in piece or b"\r" in piece
        is_found = piece in exact or (is_split and len(form) >= SHORTEST_PART)
        return (first, last) if is_found else None


def _unescaped(data: bytes) -> bytes:
    """Return a text with white space in place of what splits words unseen; no byte moves.

    These are escaped line ends, colours, and characters that a terminal does not show.
    """
    for unseen in _UNSEEN:
        if unseen in data:
            data = data.replace(unseen, b"\n".ljust(len(unseen)))
    if b"\x1b" in data:
        import re

        data = re.sub(_SEQUENCE, lambda found: b"\n".ljust(len(found[0])), data)
    if b"\\" not in data:
        return data
    for end in (b"n", b"r"):
        data = data.replace(b"\\\\" + end, b"\n  ").replace(b"\\" + end, b"\n ")
    return data


def _begun_sequence(data: bytes) -> int:
    """Return how many of the last bytes may be the start of what a terminal does not show."""
    for size in (2, 1):
        if any(data.endswith(unseen[:size]) for unseen in _UNSEEN if len(unseen) > size):
            return size
    place = data.rfind(b"\x1b", -_LONGEST_SEQUENCE)
    if place < 0:
        return 0
    import re

    begun = re.fullmatch(rb"\x1b(\[[0-?]*[ -/]*)?", data[place:])
    return len(data) - place if begun else 0


def _written(text: str) -> set[bytes]:
    """Return the bytes by which a form is sought.

    Of one that begins with `n` or ends with a backslash also the rest: with its neighbour that
    may be taken for an escaped line end.
    """
    parts = {text, text[1:] if text[:1] in "nr" else text, text.rstrip("\\")}
    return {
        data for part in parts for data in (_bytes(part), part.encode("utf-8", "surrogatepass"))
    }


_last_search: tuple[frozenset[str], _Search] | None = None


def _search_for(secrets: Iterable[str]) -> _Search:
    """Return what finds these secrets. A process has few sets of secrets, and mostly one."""
    global _last_search
    wanted = frozenset(secrets)
    if _last_search is None or _last_search[0] != wanted:
        _last_search = wanted, _Search(forms(wanted))
    return _last_search[1]


def forms(secrets: Iterable[str]) -> list[str]:
    """Return the texts in which secrets may be written, longest first.

    Each secret whole and encoded (see :func:`encodings`), and its lines.
    """
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        found |= encodings(secret)
        lines = (line.strip() for line in secret.splitlines())
        found.update(line for line in lines if len(line) >= SHORTEST_PART)
    return sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True)


def encodings(secret: str) -> set[str]:
    r"""Return a secret as it is, escaped, percent-encoded, as HTML, in base64 and in hexadecimal.

    >>> sorted(encodings("a b?"))[:5]
    ['6120623F', '6120623f', 'YSBiPw', 'YSBiPw==', 'a b?']
    >>> sorted(encodings("a b?"))[5:]
    ['a%20b%3F', 'a%20b%3f', 'a+b%3F', 'a+b%3f']
    """
    unix = secret.replace("\r\n", "\n")
    found: set[str] = set()
    # With other line ends, and as programs read it from a file that ends with one.
    for text in {secret, secret.strip(), unix, unix.strip(), unix.replace("\n", "\r\n")}:
        if len(text) >= SHORTEST:
            found |= _encodings(text)
    return found


def _encodings(text: str) -> set[str]:
    escaped = {text, *_escaped(text)}
    escaped |= {form for once in escaped for form in _escaped(once)}  # JSON in JSON, its repr
    escaped |= _for_shells(text)
    data = _bytes(text)
    percent = _percent_encoded(data)
    twice = {form.replace("%", "%25").replace("+", "%2B") for form in percent}  # a URL in a URL
    percent |= twice | {form.replace("/", "%2F") for form in twice}
    return escaped | percent | _html(text) | _in_base64(data) | _hexadecimal(data)


def _for_shells(text: str) -> set[str]:
    """Return a text as `shlex.quote` and shells write it, without the quotes around it."""
    import re

    return {
        text.replace("'", "'\"'\"'"),
        text.replace("'", "'\\''"),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", text),  # printf %q
        re.sub(r'([\\"$`])', r"\\\1", text),  # between double quotes
    }


def _escaped(text: str) -> set[str]:
    """Return a text as JSON and as Python's repr write it, without the quotes around it."""
    import json

    quoted, readable = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    return {
        quoted,
        readable,
        quoted.replace("/", "\\/"),  # as PHP does
        readable.replace("/", "\\/"),
        quoted.translate({ord(each): f"\\u{ord(each):04x}" for each in "<>&"}),  # as Go does
        repr(text)[1:-1],
        ascii(text)[1:-1],
        repr(text + "'\"")[1:-4],  # with each ' escaped, as in a longer text that has both quotes
        repr(_bytes(text))[2:-1],
    }


def _percent_encoded(data: bytes) -> set[str]:
    """Return bytes as `urllib.parse.quote` and `quote_plus` write them; importing that is slow."""
    found = set()
    for plain, space in (("_.-~", "%20"), ("_.-~/", "%20"), ("_.-~", "+"), ("_.-~/", "+")):
        quoted = [_quoted(byte, plain, space) for byte in range(256)]
        lower = [each.lower() if each[0] == "%" else each for each in quoted]
        found |= {"".join([table[byte] for byte in data]) for table in (quoted, lower)}
    return found


def _quoted(byte: int, plain: str, space: str) -> str:
    character = chr(byte)
    if character == " ":
        return space
    is_plain = byte < 128 and (character.isalnum() or character in plain)
    return character if is_plain else f"%{byte:02X}"


def _html(text: str) -> set[str]:
    """Return a text as HTML has it: by `html.escape`, by markupsafe, and with named quotes."""
    quotes = (
        ("'", '"'),
        ("&#x27;", "&quot;"),
        ("&#39;", "&#34;"),
        ("&#39;", "&quot;"),
        ("&apos;", "&quot;"),
    )
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {text.replace("'", single).replace('"', double) for single, double in quotes}


def _hexadecimal(data: bytes) -> set[str]:
    return {data.hex(), data.hex().upper()}


def _in_base64(secret: bytes) -> set[str]:
    """Return a secret in base64, and that in base64 once more: alone, and amid something longer."""
    alone, amid = _alone_in_base64(secret), _amid_base64(secret)
    found = {*alone, *amid}.union(
        *(_alone_in_base64(once.encode()) for once in alone),
        *(_amid_base64(once.encode()) for once in amid),
    )
    return found | {form.replace("+", "%2B").replace("/", "%2F") for form in found}


def _alone_in_base64(data: bytes) -> set[str]:
    from binascii import b2a_base64

    padded = b2a_base64(data, newline=False).decode()
    return _for_urls({padded, padded.rstrip("=")})


def _amid_base64(data: bytes) -> set[str]:
    """Return what base64 has of some bytes wherever they stand, as in `user:password`.

    They begin at one of three places in a group of 3 bytes. The characters at their ends also
    depend on their neighbours, and are left out.
    """
    from binascii import b2a_base64

    found = set()
    for before in range(3):
        bits = (before + len(data)) * 8
        text = b2a_base64(bytes(before) + data, newline=False).decode()
        core = text[-(-before * 8 // 6) : bits // 6]
        if len(core) >= _SHORTEST_CORE:
            found.add(core)
    return _for_urls(found)


def _for_urls(texts: set[str]) -> set[str]:
    return texts | {text.replace("+", "-").replace("/", "_") for text in texts}


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which no environment variable has
        return text.encode("utf-8", "surrogatepass")


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets in a text."""
    return _masked(text, _search_for(secrets))


def redact_bytes(data: bytes, secrets: Iterable[str]) -> bytes:
    """Replace secrets in bytes."""
    return _search_for(secrets).masked(data)[0]


def _masked(text: str, search: _Search) -> str:
    data = text.encode("utf-8", "surrogatepass")
    masked = search.masked(data)[0]
    return text if masked == data else masked.decode("utf-8", "surrogatepass")


def redact_json(value: T, secrets: Iterable[str]) -> T:
    """Replace secrets in every string of a JSON value, keys included, digests left out."""
    search = _search_for(secrets)
    hidden: T = _redacted(value, search) if search.forms else value
    return hidden


def redact_error(error: T, secrets: Iterable[str]) -> T:
    """Replace secrets in an `ErrorPart` or None, but for the words that Levada reads."""
    search = _search_for(secrets)
    hidden: T = error if error is None or not search.forms else _redacted_error(error, search)
    return hidden


def _redacted_error(error: Any, search: _Search) -> Any:
    shown = error | {name: _redacted(error[name], search) for name in _TOLD if name in error}
    names = _names(error)
    if any(search.is_in(name.encode("utf-8", "surrogatepass")) for name in names):
        made = not all(map(_is_defined, names))
        shown |= {name: _redacted(error[name], search) for name in _CLASS if name in error and made}
    if error.get("context"):
        shown["context"] = _redacted_error(error["context"], search)
    return shown


def _names(error: Any) -> list[str]:
    """Return the qualified names of the class of an error and of its bases."""
    if not error.get("module"):
        return []
    given = [f"{error['module']}.{error.get('type')}", *(error.get("bases") or ())]
    return [name for name in given if isinstance(name, str)]


def _is_defined(name: str) -> bool:
    """Whether a class is in a module by its qualified name: only such a one can `except` name.

    A module that is not loaded here may have it, if there is one.
    """
    import sys
    from importlib.machinery import PathFinder

    parts = name.split(".")
    if parts[0] == "levada":  # what Levada says of an end may have no class
        return True
    for size in range(len(parts) - 1, 0, -1):
        found: object = sys.modules.get(".".join(parts[:size]))
        if found is not None:
            for part in parts[size:]:
                found = getattr(found, part, None)
            return isinstance(found, type)
    return PathFinder.find_spec(parts[0]) is not None


def _redacted(value: Any, search: _Search) -> Any:
    if isinstance(value, str):
        return _masked(value, search)
    if isinstance(value, list):
        return [_redacted(item, search) for item in value]
    if isinstance(value, dict):
        return {
            _redacted(key, search): item if _is_digest(key, item) else _redacted(item, search)
            for key, item in value.items()
        }
    return value


def _is_digest(key: str, item: object) -> bool:
    """Whether it is a digest, in which a short secret may stand by chance."""
    return key == "digest" and isinstance(item, str) and item.startswith("sha256:")


def redact_tokens(data: bytes) -> bytes:
    """Replace tokens and passwords that are recognised by their form."""
    import re

    return re.sub("|".join(_TOKENS).encode(), MASK.encode(), data)


def secret_variables(names: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of these names that are set and not empty."""
    return {name: variables[name] for name in names if variables.get(name)}


def find_secret(value: object, secrets: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first secret that stands in a string or bytes of a value, at any depth.

    It is told by its variable and the place within the value. A secret shorter than
    `SHORTEST_PART` has to be all of the string. ``secrets`` are values by variable. Files, arrays
    and frames are not searched.

    >>> find_secret({"auth": "Bearer hunter2"}, {"TOKEN": "hunter2"})
    ('TOKEN', '["auth"]')
    """
    given = {name: encodings(secret) for name, secret in secrets.items() if len(secret) >= SHORTEST}
    search = _parts(form for found in given.values() for form in found)
    whole = {_bytes(form) for found in given.values() for form in found}
    seen: set[int] = set()
    left: list[tuple[object, str]] = [(value, "")] if given else []
    while left:
        each, place = left.pop()
        if isinstance(each, (str, bytes, bytearray)):
            data = each.encode("utf-8", "surrogatepass") if isinstance(each, str) else bytes(each)
            if data in whole or search.is_in(data):
                return _named(data, given), redact_text(place, secrets.values())
        elif id(each) not in seen and (held := _held(each)):
            seen.add(id(each))
            left += [(item, place + step) for step, item in reversed(held)]
    return None


def secrets_in_request(
    parameters: Mapping[str, object], run_id: str | None, secrets: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each parameter of a run, and for its id, that holds a secret's value.

    Parameters are kept in the store in clear, a run id is the name of a folder, and engines show
    both.
    """
    problems = []
    if run_id is not None and (found := find_secret(run_id, secrets)):
        problems.append(
            f"the run id holds the value of the secret {found[0]}, and would be shown as it is:"
            " choose another one"
        )
    for name, value in parameters.items():
        if found := find_secret(value, secrets):
            variable, place = found
            at = f" at {place}" if place else ""
            problems.append(
                f"the parameter `{name}` holds the value of the secret {variable}{at}, and would be"
                " kept in the store in clear: read the secret in the steps that need it instead"
                " (secrets={…}), or do not declare as a secret what is none"
            )
    return problems


def _parts(found: Iterable[str]) -> _Search:
    return _Search(form for form in found if len(form) >= SHORTEST_PART)


def _named(data: bytes, given: Mapping[str, set[str]]) -> str:
    """Return the name of the first secret that is in a text, or all of it."""
    return next(
        name
        for name, found in given.items()
        if _parts(found).is_in(data) or data in map(_bytes, found)
    )


def _held(value: object) -> list[tuple[str, object]]:
    """Return what a container or an instance of a class in Python holds, each with its place."""
    if value is None or isinstance(value, (bool, int, float, type)):
        return []
    if isinstance(value, dict):
        keys = [("", key) for key in value]
        return keys + [(f"[{_key(key)}]", item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f".{name}", item) for name, item in zip(value._fields, value, strict=False)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{number}]", item) for number, item in enumerate(value)]
    if any(hasattr(value, name) for name in ("__array__", "__dataframe__", "__fspath__")):
        return []
    fields: dict[str, object] = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                fields[name] = getattr(value, name)
    return [(f".{name}", item) for name, item in fields.items()]


def _key(key: object) -> str:
    return f'"{key}"' if isinstance(key, str) else repr(key)
