"""What a store must do, as checks that its makers run.

>>> from levada.testing import check_store
>>> check_store("s3://bucket/prefix-for-tests")  # doctest: +SKIP

Each check writes below a folder of its own, and leaves it. `levada store check` runs those that
tell a user whether a store can be used.
"""

from __future__ import annotations

import os

from levada.store import DamagedBlob, MissingBlob, StoreError, digest_of, open_store, quote_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from levada.store import Store


class StoreFault(AssertionError):  # noqa: N818
    """A store does not do what every store must."""


def check_store(url: str) -> None:
    """Try everything that a store must do. Raises StoreFault, with a line for each thing it lacks.

    Raises StoreError if nothing can be a store there.
    """
    store = open_store(url)
    store.prepare()
    folder = f"checks/{os.urandom(8).hex()}"
    faults = []
    for number, check in enumerate(CHECKS):
        try:
            check(store, f"{folder}/{number}")
        except (StoreFault, StoreError, OSError) as error:
            faults.append(f"{check.__name__}: {error}")
    if faults:
        raise StoreFault("\n".join(faults))


def documents_are_written_once(store: Store, folder: str) -> None:
    """A second write changes nothing, and says so."""
    path = f"{folder}/a.json"
    _expect(store.write_once(path, b"first"), "the first write is refused")
    _expect(not store.write_once(path, b"second"), "a second write succeeds")
    _expect(store.read(path) == b"first", "a second write changes the document")


def one_of_many_writers_succeeds(store: Store, folder: str) -> None:
    """Of threads that write one document at a time, one gets True, and its bytes are there."""
    from concurrent.futures import ThreadPoolExecutor

    path = f"{folder}/a.json"
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: store.write_once(path, b"%d" % n), range(8)))
    _expect(done.count(True) == 1, f"{done.count(True)} of 8 writers succeed")
    _expect(store.read(path) == b"%d" % done.index(True), "what is there is another writer's")


def missing_documents_are_told(store: Store, folder: str) -> None:
    """What is not there is FileNotFoundError, also below a document's name."""
    _raises(FileNotFoundError, lambda: store.read(f"{folder}/none"))
    _raises(FileNotFoundError, lambda: store.read_tagged(f"{folder}/none"))
    _raises(FileNotFoundError, lambda: store.open_at(f"{folder}/none", 0))
    store.write_once(f"{folder}/a", b"")
    _expect(store.read(f"{folder}/a") == b"", "an empty document does not come back")
    _raises(FileNotFoundError, lambda: store.read(f"{folder}/a/b"))


def names_come_back(store: Store, folder: str) -> None:
    """Folders and documents are listed by name, sorted, whatever characters are in them."""
    texts = [
        "a b",
        "é",
        "..",
        ".",
        "",
        "%",
        "a%b",
        "x:y",
        "a=b+c@d",
        "~",
        "#?*[]",
        "\\",
        "\n",
        "😀",
    ]
    names = [quote_name(text) for text in texts]
    for name in names:
        store.write_once(f"{folder}/{name}", name.encode())
    store.write_once(f"{folder}/inner/deep/x", b"")
    _expect(store.list(folder) == sorted([*names, "inner"]), f"listed {store.list(folder)}")
    _expect(store.list(f"{folder}/inner") == ["deep"], "a folder lists what is not in it")
    _expect(store.list(f"{folder}/none") == [], "a folder that is not there has something in it")
    for name in names:
        _expect(store.read(f"{folder}/{name}") == name.encode(), f"{name} does not come back")


def lists_go_on_after_a_name(store: Store, folder: str) -> None:
    """`list_after` gives the names after one, which need not be there; more than one page too."""
    names = [f"log.{number:06d}" for number in range(12)]
    for name in names:
        store.write_once(f"{folder}/{name}", b"")
    _expect(store.list_after(folder, "log.000008") == names[9:], "after a name that is there")
    _expect(store.list_after(folder, "log") == names, "after a name that is not there")
    _expect(store.list_after(folder, "z") == [], "after the last one")
    store.write_once(f"{folder}/z/inner/x", b"")
    _expect(store.list_after(folder, "log.000011") == ["z"], "a folder is not listed by its name")
    _expect(store.list_after(f"{folder}/none", "a") == [], "in a folder that is not there")


def several_documents_are_read(store: Store, folder: str) -> None:
    """`read_each` gives documents in the order of their paths, and None for one that is missing."""
    texts = [b"%d" % number for number in range(40)]
    for number, text in enumerate(texts):
        store.write_once(f"{folder}/{number}", text)
    paths = [f"{folder}/{name}" for name in (*range(40), "none", 0)]
    _expect(list(store.read_each(paths)) == [*texts, None, b"0"], "other documents are read")
    _expect(list(store.read_each([])) == [], "something is read where nothing was asked for")


def a_change_of_a_folder_is_told(store: Store, folder: str) -> None:
    """`folder_tag` is another one, or None, as soon as a name was added or removed."""
    store.write_once(f"{folder}/a", b"")
    for change in (
        lambda: store.write_once(f"{folder}/b", b""),
        lambda: store.delete(f"{folder}/a"),
    ):
        tag = store.folder_tag(folder)
        change()
        _expect(tag is None or store.folder_tag(folder) != tag, "a change is not seen")


def everything_is_walked(store: Store, folder: str) -> None:
    """`walk` gives what is below a folder, however deep, with its size."""
    sizes = {f"{folder}/a": 1, f"{folder}/b/c/d": 2, f"{folder}/b/{quote_name('é')}": 0}
    for path, size in sizes.items():
        store.write_once(path, b"x" * size)
    _expect(dict(store.walk(folder)) == sizes, f"walked {dict(store.walk(folder))}")
    _expect(dict(store.walk(f"{folder}/none")) == {}, "a folder that is not there is walked")


def paths_stay_in_the_store(store: Store, folder: str) -> None:
    """A path that leads out of the store is refused."""
    for path in ("../x", f"{folder}/../../x", "a//b", ".", "a\0b"):
        _raises(StoreError, lambda path=path: store.read(path))  # type: ignore[misc]
        _raises(StoreError, lambda path=path: store.write_once(path, b""))  # type: ignore[misc]


def a_swap_needs_the_tag(store: Store, folder: str) -> None:
    """A document is replaced only as what it was read as."""
    path = f"{folder}/alias.json"
    store.write_once(path, b"1")
    data, tag = store.read_tagged(path)
    _expect(data == b"1", "the document read with its tag is another one")
    _expect(store.compare_and_swap(path, tag, b"2"), "a swap with the right tag is refused")
    _expect(not store.compare_and_swap(path, tag, b"3"), "a swap with an old tag succeeds")
    _expect(store.read(path) == b"2", "a refused swap changes the document")
    _expect(not store.compare_and_swap(f"{folder}/none", tag, b"4"), "a swap makes a document")


def what_is_deleted_is_gone(store: Store, folder: str) -> None:
    """Removing a document twice is no error, and it can be written again."""
    path = f"{folder}/a.json"
    store.write_once(path, b"1")
    store.delete(path)
    store.delete(path)
    _raises(FileNotFoundError, lambda: store.read(path))
    _expect(store.list(folder) == [], "a removed document is listed")
    _expect(store.write_once(path, b"2"), "a removed document cannot be written again")


def blobs_are_named_by_content(store: Store, _folder: str) -> None:
    """Blobs of any size come back by their digests, from memory, files and parts."""
    for size in (0, 1, 70_000, (1 << 20) + 1, 17 << 20):
        data = os.urandom(min(size, 1 << 20)) * (size // (1 << 20) + 1)
        data = data[:size]
        with store.blob_writer() as writer:
            for start in range(0, size, 300_000):
                writer.write(data[start : start + 300_000])
        _expect(writer.digest == digest_of(data), f"the digest of {size} bytes is wrong")
        _expect(writer.size == size, f"the size of {size} bytes is wrong")
        _expect(store.read_blob(writer.digest) == data, f"{size} bytes do not come back")
        _expect(store.verify_blob(writer.digest), f"{size} bytes count as damaged")
        with store.open_blob(writer.digest) as blob:
            blob.seek(size // 2)
            _expect(blob.read(10) == data[size // 2 :][:10], "a blob cannot be sought in")
        path = store.blob_path(writer.digest)
        if path is None:
            raise StoreFault("a blob that is there has no path")
        with open(path, "rb") as file:
            _expect(file.read() == data, "the file at a blob's path is another one")


def missing_blobs_are_told(store: Store, _folder: str) -> None:
    """A blob that is not there raises MissingBlob, and what is no digest StoreError."""
    digest = digest_of(os.urandom(16))
    _raises(MissingBlob, lambda: store.open_blob(digest))
    _raises(MissingBlob, lambda: store.read_blob(digest))
    _expect(store.blob_path(digest) is None, "a missing blob has a path")
    _expect(not store.verify_blob(digest), "a missing blob is verified")
    _raises(StoreError, lambda: store.read_blob("sha256:../../x"))


def damage_is_found(store: Store, _folder: str) -> None:
    """A blob that is not what its name says raises DamagedBlob; writing it again mends it."""
    for size in (100, 2 << 20):
        data, other = os.urandom(size), os.urandom(size)
        digest = digest_of(data)
        _write_damaged(store, digest, other)
        _raises(DamagedBlob, lambda digest=digest: store.read_blob(digest))  # type: ignore[misc]
        _expect(not store.verify_blob(digest), "a damaged blob is verified")
        _expect(store.put_blob(data) == digest, "a damaged blob cannot be written again")
        _expect(store.read_blob(digest) == data, "writing a damaged blob again does not mend it")


def logs_are_read_from_anywhere(store: Store, folder: str) -> None:
    """A file is stored as a log, replaces one, and is read from a position."""
    file, local = store.new_temporary()
    with file:
        file.write(b"line\n" * 1000)
    path = f"{folder}/log"
    store.write_file(path, local)
    for offset, wanted in ((0, 5000), (4990, 10), (5000, 0), (9999, 0)):
        with store.open_at(path, offset) as log:
            _expect(len(log.read()) == wanted, f"a log of 5000 bytes read from {offset}")
    with open(local, "wb") as again:
        again.write(b"other\n")
    store.write_file(path, local)
    os.unlink(local)
    with store.open_at(path, 0) as log:
        _expect(log.read() == b"other\n", "a log that is written again is not replaced")


CHECKS: tuple[Callable[[Store, str], None], ...] = (
    documents_are_written_once,
    one_of_many_writers_succeeds,
    missing_documents_are_told,
    names_come_back,
    lists_go_on_after_a_name,
    several_documents_are_read,
    a_change_of_a_folder_is_told,
    everything_is_walked,
    paths_stay_in_the_store,
    a_swap_needs_the_tag,
    what_is_deleted_is_gone,
    blobs_are_named_by_content,
    missing_blobs_are_told,
    damage_is_found,
    logs_are_read_from_anywhere,
)


def _write_damaged(store: Store, digest: str, data: bytes) -> None:
    """Put other bytes in a blob's place, as a faulty disk or a stranger would."""
    from levada.store import blob_name

    file, local = store.new_temporary()
    with file:
        file.write(data)
    store.write_file(blob_name(digest), local)
    if os.path.lexists(local):
        os.unlink(local)


def _expect(holds: bool, fault: str) -> None:
    if not holds:
        raise StoreFault(fault)


def _raises(kind: type[Exception], action: Callable[[], object]) -> None:
    try:
        action()
    except kind:
        return
    raise StoreFault(f"{kind.__name__} is not raised")
