"""The store on a real file system: atomic, self-repairing, clear about what is wrong."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada.store import (
    CHUNK,
    MissingBlob,
    Store,
    StoreError,
    open_store,
    quote_name,
    unquote_name,
)
from levada.stores import directory


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def temporary_files(store: Store) -> list[str]:
    return store.list("tmp")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_a_blob_is_named_by_its_content(store: Store, size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert store.put_blob(data) == digest(data)
    assert store.put_blob_file(tmp_path / "file") == (digest(data), size)
    assert store.read_blob(digest(data)) == data
    assert store.verify_blob(digest(data))
    assert Path(store.blob_path(digest(data)) or "").read_bytes() == data
    assert temporary_files(store) == []


def test_pieces_of_any_size_are_one_blob(store: Store) -> None:
    pieces = [b"a", b"b" * (CHUNK - 2), b"c" * 5, memoryview(b"d" * (2 * CHUNK)), bytearray(b"e")]
    with store.blob_writer() as writer:
        for piece in pieces:
            assert writer.write(piece) == len(piece)
    whole = b"".join(pieces)
    assert (writer.digest, writer.size) == (digest(whole), len(whole))


@pytest.mark.parametrize("size", [10, 2 * CHUNK])
def test_an_interrupted_blob_leaves_nothing(store: Store, size: int) -> None:
    def write_and_fail() -> None:
        with store.blob_writer() as writer:
            writer.write(b"x" * size)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert temporary_files(store) == []
    assert store.list("blobs") == []


def test_what_a_killed_writer_left_is_swept(store: Store) -> None:
    program = (
        "import os, sys; from levada.store import *;"
        f"w = open_store({store.url!r}).blob_writer(); w.write(bytes(2 * CHUNK)); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    (left,) = temporary_files(store)
    open_store(store.url).prepare()
    assert temporary_files(store) == [left], "its writer may still be at work"
    yesterday = time.time() - 90_000
    os.utime(Path(store.url.removeprefix("file://")) / "tmp" / left, (yesterday, yesterday))
    open_store(store.url).prepare()
    assert temporary_files(store) == []


def test_many_processes_write_the_same_blobs(store: Store) -> None:
    program = (
        "from levada.store import *;"
        f"s = open_store({store.url!r});"
        "print([s.put_blob(bytes([n]) * (n * 100_000)) for n in range(30)],"
        " sum(s.write_once(f'runs/a/{n}.json', b'{}') for n in range(30)))"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [writer.communicate()[0].strip().rpartition(" ") for writer in writers]
    assert {writer.returncode for writer in writers} == {0}
    assert len({digests for digests, _, _ in said}) == 1
    assert sum(int(count) for _, _, count in said) == 30, "each document has exactly one writer"
    assert all(store.verify_blob(digest(bytes([n]) * (n * 100_000))) for n in range(30))
    assert temporary_files(store) == []


def test_a_store_may_be_made_while_another_process_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_by_another_process(path: str) -> None:
        monkeypatch.undo()
        directory.DirectoryStore(str(tmp_path)).prepare()
        raise FileNotFoundError(path)

    monkeypatch.setattr("levada.stores.directory._open_file", made_by_another_process)
    assert open_store(tmp_path.as_uri()).write_once("runs/a.json", b"{}")


def test_a_document_is_written_once(store: Store) -> None:
    assert store.write_once("runs/p/r/run.json", b"first")
    assert not store.write_once("runs/p/r/run.json", b"second")
    assert store.read("runs/p/r/run.json") == b"first"
    assert store.list("runs/p") == ["r"]
    assert store.list("runs/none") == []
    assert store.list("runs/p/r/run.json") == []
    with pytest.raises(FileNotFoundError):
        store.read("runs/p/r/none.json")
    with pytest.raises(FileNotFoundError):
        store.read("runs/p")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a//b", "", "/", "a/\0", "./a"])
def test_no_path_leads_out_of_the_store(store: Store, path: str) -> None:
    with pytest.raises(StoreError, match="is not a path in a store"):
        store.write_once(path, b"")
    with pytest.raises(StoreError, match="is not a path in a store"):
        store.local_path(path)


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "sha256:", "md5:" + "0" * 64, "x"])
def test_no_digest_leads_out_of_the_store(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="is not a digest"):
        store.open_blob(name)
    assert not store.verify_blob(name)


def test_a_log_can_be_appended_to(store: Store) -> None:
    path = Path(store.local_path("runs/p/r/train/1/log") or "")
    path.write_text("line\n")
    assert store.read("runs/p/r/train/1/log") == b"line\n"


@given(st.text())
def test_any_text_is_one_component_of_a_path(name: str) -> None:
    quoted = quote_name(name)
    assert quoted not in ("", ".", "..")
    assert "/" not in quoted
    assert quoted.isascii()
    assert unquote_name(quoted) == name


def test_opening_creates_nothing(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/a%20store")
    assert store.list("runs") == []
    with pytest.raises(MissingBlob, match="run the step that made it again"):
        store.open_blob(digest(b""))
    assert not (tmp_path / "a store").exists()
    store.prepare()
    assert sorted(path.name for path in (tmp_path / "a store").iterdir()) == [
        ".gitignore", "store.json", "tmp",
    ]  # fmt: skip
    assert open_store(store.url).url == store.url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "needs a path or a URL"),
        ("ftp://host/x", "no store for ftp:// is installed"),
        ("file://host/x", "names no local folder"),
        ("file:///a%zz", "is not a URL"),
        ("~nosuchuser/x", "no home folder of ~nosuchuser"),
    ],
)
def test_a_wrong_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(url)


def test_a_file_where_the_store_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not a folder"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="is not a folder"):
        open_store(str(tmp_path / "file" / "below"))


#: What may be in the place of a folder: each makes it, at a path.
NO_FOLDERS = {
    "file": lambda path: path.write_text("mine"),
    "link": lambda path: path.symlink_to("/etc"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
}
#: Each with what writes below it.
FOLDERS = {
    "runs": lambda store: store.write_once("runs/p/a.json", b"1"),
    "runs/p": lambda store: store.local_path("runs/p/log"),
    "cache": lambda store: store.clear_way("cache/key/entry"),
    "blobs": lambda store: store.put_blob(b"x"),
    "blobs/sha256/2d": lambda store: store.put_blob(b"x"),
    "tmp": lambda store: store.put_blob(b"x"),
}


@pytest.mark.parametrize("kind", NO_FOLDERS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_no_folder_makes_room_for_one_with_a_warning(
    tmp_path: Path, kind: str, folder: str
) -> None:
    path = tmp_path / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    NO_FOLDERS[kind](path)
    os.utime(path, (0, 0), follow_symlinks=False)  # as if it had been there for years
    store = open_store(str(tmp_path))
    FOLDERS[folder](store)
    assert not path.is_symlink()
    assert folder == "cache" or path.is_dir()
    [moved] = (tmp_path / "tmp").iterdir()
    [warning] = store.take_warnings()
    assert warning.startswith(f"{path} is not what Levada wrote there; it was moved to {moved},")
    assert store.take_warnings() == []
    FOLDERS[folder](open_store(str(tmp_path)))
    assert os.path.lexists(moved), "it was swept at once"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_another_process_makes_meanwhile_stays(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made right after this one has seen that there is none."""
    store, other, lstat = open_store(str(tmp_path)), tmp_path / folder / "other", os.lstat

    def seen(path: str) -> os.stat_result:
        try:
            return lstat(path)
        except FileNotFoundError:
            if path == str(tmp_path / folder):
                other.mkdir(parents=True, exist_ok=True)
            raise

    with monkeypatch.context() as patch:
        patch.setattr("os.lstat", seen)
        FOLDERS[folder](store)
    assert other.is_dir()
    assert store.take_warnings() == []


def test_the_store_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"schema":"levada.store/9"}')
    with pytest.raises(StoreError, match="made by another version"):
        open_store(str(tmp_path))


def test_a_full_disk_is_said_and_leaves_nothing(store: Store) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses in the same place."""
    program = (
        "import errno, resource, signal; from levada.store import *;"
        f"s = open_store({store.url!r}); s.prepare();"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "\nfor size in (200_000, 3 * CHUNK):"
        "\n  try: s.put_blob(bytes(size))"
        "\n  except StoreError as error: print(error)"
        "\ntry: s.write_once('a.json', bytes(200_000))"
        "\nexcept StoreError as error: print(error)"
        "\nprint(s.list('tmp'), s.list('blobs'), s.list('a.json'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    *errors, left = run.stdout.splitlines()
    assert len(errors) == 3
    assert all("File too large" in error for error in errors)
    assert left == "[] [] []"


def test_a_full_device_is_said(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    store = open_store(str(tmp_path))
    store.prepare()
    (tmp_path / "tmp").rmdir()
    (tmp_path / "tmp").symlink_to("/proc/sys")  # A folder that nobody can create files in.
    with pytest.raises(StoreError, match="store at"):
        store.put_blob(b"x")


#: What may be in the place of a file: each makes it, at a path.
OTHERS = {
    "folder": lambda path: (path / "below").mkdir(parents=True),
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("size", [5, 3 * CHUNK])
@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_file_is_no_blob_and_makes_room_for_one(
    store: Store, other: str, size: int
) -> None:
    data = bytes(size)
    name = store.put_blob(data)
    path = Path(store.blob_path(name) or "")
    path.unlink()
    OTHERS[other](path)
    assert not store.verify_blob(name)
    assert store.blob_path(name) is None
    with pytest.raises(MissingBlob):
        store.read_blob(name)
    store.put_blob(data)
    assert store.read_blob(name) == data
    assert path.is_file()
    assert not path.is_symlink()


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_file_is_no_document_and_makes_room_for_one(
    store: Store, tmp_path: Path, other: str
) -> None:
    store.write_once("runs/a.json", b"")
    path = tmp_path / "store" / "runs" / "a.json"
    path.unlink()
    OTHERS[other](path)
    with pytest.raises(FileNotFoundError):
        store.read("runs/a.json")
    assert store.write_once("runs/a.json", b"new")
    assert not store.write_once("runs/a.json", b"newer")
    assert store.read("runs/a.json") == b"new"


def test_what_made_room_is_swept(store: Store, tmp_path: Path) -> None:
    store.write_once("a.json", b"")
    (tmp_path / "store" / "a.json").unlink()
    OTHERS["folder"](tmp_path / "store" / "a.json")
    store.write_once("a.json", b"")
    assert len(temporary_files(store)) == 1
    store.sweep(older_than=0)  # type: ignore[attr-defined]
    assert temporary_files(store) == []


def test_a_log_is_not_written_through_a_link(store: Store, tmp_path: Path) -> None:
    log = Path(store.local_path("runs/a/log") or "")
    log.symlink_to(tmp_path / "outside")
    again = Path(store.local_path("runs/a/log") or "")
    assert again == log
    assert not log.is_symlink()


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.EACCES, errno.EPERM])
def test_documents_are_written_where_links_cannot_be_made(
    store: Store, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    assert store.write_once("a.json", b"1")
    assert not store.write_once("a.json", b"2")
    assert store.read("a.json") == b"1"


def test_a_document_that_is_too_large_is_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "MAX_DOCUMENT", 4)
    store.write_once("a.json", b"12345")
    with pytest.raises(FileNotFoundError):
        store.read("a.json")


def test_a_store_without_its_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").mkdir()
    with pytest.raises(StoreError, match=r"store\.json is not a file"):
        open_store(str(tmp_path))


def test_nothing_outside_of_the_store_is_moved_or_swept(store: Store, tmp_path: Path) -> None:
    store.prepare()
    outside = tmp_path / "outside"
    (outside / "log").mkdir(parents=True)
    for write in (store.local_path, lambda path: store.write_once(path, b"")):
        (tmp_path / "store" / "runs").symlink_to(outside)
        write("runs/log")
        assert (outside / "log").is_dir()
        shutil.rmtree(tmp_path / "store" / "runs")
    store.sweep(older_than=-1)  # type: ignore[attr-defined]
    (tmp_path / "store" / "tmp").rmdir()
    (tmp_path / "store" / "tmp").symlink_to(outside)
    store.sweep(older_than=0)  # type: ignore[attr-defined]
    assert (outside / "log").is_dir()
