"""The direct builder: what is in its layers, and that they are the same wherever they are made."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import marshal
import os
import resource
import stat
import subprocess
import sys
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from levada_backends.images import bytecode, interpreters, oci
from levada_backends.images.image import ImageError, Wheel
from levada_backends.images.recipe import grouped

from . import parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from levada_backends.images.direct import DirectBuilder
    from levada_backends.images.image import BuiltImage, Event
    from levada_backends.images.layers import LayerCache, LayerWriter

SITE = f"opt/levada/lib/python{parts.PYTHON}/site-packages"


# ------------------------------------------------------------------------- the same everywhere


def test_two_clean_caches_one_digest(base: str, greeting: Wheel, tmp_path: Path) -> None:
    """In other processes, with other seeds, places, time zones and masks of new files."""

    def build(name: str, **variables: str) -> str:
        cache, cwd = tmp_path / name, tmp_path / f"{name}-cwd"
        cwd.mkdir()
        words = [str(cache), base, str(parts.fetch(greeting))]
        path = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-m", "tests.images.parts", *words],
            env={**os.environ, "PYTHONPATH": path, **variables},
            cwd=cwd,
            umask=0o077 if name == "second" else 0o022,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    first = build("first", PYTHONHASHSEED="1", TZ="UTC")
    second = build("second", PYTHONHASHSEED="2", TZ="Asia/Tokyo", GREETING="main greet words")
    assert first == second
    assert first.startswith("sha256:")


def test_bytecode_does_not_depend_on_what_else_the_process_holds() -> None:
    source = b"import os\ndef f(spam, *, eggs=(1, 'two', b'3', frozenset({'a', 'b'}))):\n    return"
    source += b" [spam for spam in eggs if spam not in {'x', 'y'}]\nclass Spam: eggs = 'spam' * 3\n"
    first = bytecode.compile_source("/x/spam.py", source, bytecode.UNCHECKED)
    held = [sys.intern(word) for word in ("spam", "eggs", "two", "Spam", "x", "y")]
    other = compile(source, "/x/spam.py", "exec")
    assert bytecode.compile_source("/x/spam.py", source, bytecode.UNCHECKED) == first, (held, other)
    interpreter = interpreters.find(parts.PYTHON)
    assert interpreter is not None
    (packed,) = interpreter.compiled({"x/spam.py": source}, bytecode.UNCHECKED).values()
    assert packed.size == len(first)
    assert packed.crc == zlib.crc32(first)


# ------------------------------------------------------------------------- what is in the layers


def test_a_wheel_is_installed_as_an_installer_would(
    builder: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    root = unpacked(builder.build(parts.make_spec(base, greeting)), tmp_path / "root")
    installed = tmp_path / "installed"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", installed], check=True)
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    file = str(parts.fetch(greeting))
    subprocess.run([*command, "--python", f"{installed}/bin/python", file], check=True)
    theirs = contents(installed, "opt/levada")
    ours = contents(root / "opt/levada", "opt/levada")
    info = f"{SITE}/greeting-1.0.dist-info"
    # What uv notes of where the wheel came from, and what venv makes, has no counterpart.
    of_greeting = {path for path in theirs if "greet" in path and "__pycache__" not in path}
    of_greeting -= {f"{info}/{name}" for name in ("direct_url.json", "REQUESTED", "uv_cache.json")}
    assert of_greeting == {path for path in ours if "greet" in path and "__pycache__" not in path}
    for path in of_greeting - {f"{info}/RECORD", f"{info}/INSTALLER", "opt/levada/bin/greet"}:
        mine, other = root / path, installed / Path(path).relative_to("opt/levada")
        text = other.read_bytes().replace(str(installed).encode(), b"/opt/levada")
        assert mine.read_bytes() == text.replace(b"/bin/python3\n", b"/bin/python\n"), path


def test_record_names_every_file_with_its_hash(
    builder: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    root = unpacked(builder.build(parts.make_spec(base, greeting)), tmp_path / "root")
    record = root / SITE / "greeting-1.0.dist-info" / "RECORD"
    rows = list(csv.reader(io.StringIO(record.read_text())))
    found = {os.path.normpath(f"{SITE}/{row[0]}") for row in rows}
    assert found == {
        path for path in contents(root / "opt/levada", "opt/levada") if "greet" in path
    }
    for path, digest, size in rows:
        data = (root / SITE / path).read_bytes()
        if digest:
            assert digest == parts.record_hash(data), path
            assert int(size) == len(data), path


def test_bytecode_is_used_without_a_look_at_the_source(
    builder: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    root = unpacked(builder.build(parts.make_spec(base, greeting)), tmp_path / "root")
    tag = sys.implementation.cache_tag
    found = {
        name: (root / path / "__pycache__" / f"{name}.{tag}.pyc").read_bytes()
        for path, name in ((f"{SITE}/greeting", "__init__"), ("app", "pipeline"))
    }
    assert not (root / SITE / "greeting/__pycache__" / f"not_python.{tag}.pyc").exists()
    assert not (root / SITE / "greeting/tests/__pycache__").exists()
    flags = {name: int.from_bytes(data[4:8], "little") for name, data in found.items()}
    assert flags == {"__init__": bytecode.UNCHECKED, "pipeline": bytecode.CHECKED}
    for data in found.values():
        assert data[:4] == importlib.util.MAGIC_NUMBER
    code = marshal.loads(found["__init__"][16:])
    assert code.co_filename == f"/{SITE}/greeting/__init__.py"
    assert found["pipeline"][8:16] == importlib.util.source_hash(parts.PIPELINE)


def test_entries_have_no_time_and_belong_to_root(
    builder: DirectBuilder, base: str, greeting: Wheel
) -> None:
    built = builder.build(parts.make_spec(base, greeting))
    for member in (member for archive in archives(built) for member in archive):
        assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, ""), member.name
        expected = {0o755, 0o644, 0o777}  # a link's mode means nothing
        assert stat.S_IMODE(member.mode) in expected, member.name
        assert not stat.S_IMODE(member.mode) & 0o022 or member.issym(), member.name
    names = [[member.name for member in archive] for archive in archives(built)]
    assert all(len(set(layer)) == len(layer) for layer in names)


def test_other_programs_read_the_layers(builder: DirectBuilder, base: str, greeting: Wheel) -> None:
    built = builder.build(parts.make_spec(base, greeting))
    config = configuration(built)
    files = [blob(built, layer.digest) for layer in built.layers]
    for file, diff_id in zip(files, config["rootfs"]["diff_ids"], strict=True):
        plain = subprocess.run(["gzip", "-dc", file], check=True, capture_output=True).stdout
        assert oci.digest_of(plain) == diff_id


def test_configuration(builder: DirectBuilder, base: str, greeting: Wheel) -> None:
    spec = replace(parts.make_spec(base, greeting), environment={"GREETING": "a b"}, uid=1234)
    config = configuration(builder.build(spec))
    settings = config["config"]
    assert settings["User"] == "1234:1234"
    assert settings["WorkingDir"] == "/app"
    assert settings["Cmd"] == ["python", "-m", "levada"]
    assert "Entrypoint" not in settings
    environment = dict(item.split("=", 1) for item in settings["Env"])
    assert environment["PATH"].startswith("/opt/levada/bin:/usr/local/bin")
    assert environment["GREETING"] == "a b"
    assert environment["LANG"] == "C.UTF-8"  # the base's
    assert settings["Labels"]["dev.levada.steps"] == "pipeline:greet"
    assert settings["Labels"]["dev.levada.sbom"] == "/opt/levada/sbom.cdx.json"
    layers = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert len(layers) == len(config["rootfs"]["diff_ids"])
    assert [entry["created_by"] for entry in layers][1:] == [
        *("levada: greeting 1.0", "levada: environment", "levada: levada", "levada: project")
    ]


def test_a_package_beside_the_project_is_found_by_the_same_path(
    builder: DirectBuilder, base: str, greeting: Wheel
) -> None:
    files = {"project/pipeline.py": b"import bq\n", "lib/bq/src/bq.py": b""}
    spec = replace(parts.make_spec(base, greeting), slice_files=files, project="/app/project")
    built = builder.build(spec)
    settings = configuration(built)["config"]
    assert settings["WorkingDir"] == "/app/project"
    assert "LEVADA_PROJECT=/app/project" in settings["Env"]
    with archives(built)[-1] as layer:
        names = {member.name for member in layer if member.name.endswith(".py")}
    assert names == {"app/project/pipeline.py", "app/lib/bq/src/bq.py"}


def test_bill_of_materials(
    builder: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    root = unpacked(builder.build(parts.make_spec(base, greeting)), tmp_path / "root")
    bill = json.loads((root / "opt/levada/sbom.cdx.json").read_bytes())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    (component,) = bill["components"]
    assert component["name"] == "greeting"
    assert component["purl"].startswith("pkg:pypi/greeting@1.0")
    assert component["hashes"] == [{"alg": "SHA-256", "content": greeting.sha256}]


# ------------------------------------------------------------------------- only what changed


def test_a_change_of_the_project_makes_one_layer(
    builder: DirectBuilder, base: str, greeting: Wheel
) -> None:
    first = builder.build(parts.make_spec(base, greeting))
    changed = builder.build(parts.make_spec(base, greeting, pipeline=parts.PIPELINE + b"# more\n"))
    assert [layer.title for layer in changed.layers if not layer.reused] == ["project"]
    again = builder.build(parts.make_spec(base, greeting))
    assert all(layer.reused for layer in again.layers)
    assert again.digest == first.digest != changed.digest


def test_events_tell_what_is_done(builder: DirectBuilder, base: str, greeting: Wheel) -> None:
    events: list[Event] = []
    built = builder.build(parts.make_spec(base, greeting), on_event=events.append)
    layers = {event.text for event in events if event.kind == "layer"}
    assert layers == {"greeting 1.0", "environment", "levada", "project"}
    assert (events[-1].kind, events[-1].text) == ("done", built.reference)


@pytest.mark.parametrize(("wheels", "below"), [(3, 5), (92, 5), (93, 5), (400, 5), (400, 98)])
def test_the_smallest_wheels_share_a_layer_when_there_are_many(wheels: int, below: int) -> None:
    locked = [Wheel(f"w{i:03}", "1", f"w{i}.whl", "", "", size=1000 - i) for i in range(wheels)]
    groups = grouped(locked, below)
    assert sorted(wheel for group in groups for wheel in group) == locked
    assert len(groups) + below + 3 <= max(100, below + 4)
    shared = max(groups, key=len)
    alone = [wheel for group in groups if group != shared for wheel in group]
    assert len(shared) == 1 or max(w.size or 0 for w in shared) < min(
        (w.size or 0 for w in alone), default=1001
    )


# ------------------------------------------------------------------------- interruptions


def test_what_is_half_written_is_never_taken(cache: LayerCache) -> None:
    def stop(writer: LayerWriter) -> None:
        writer.add("a", b"a" * 3_000_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.layer("key", "a", stop)
    assert cache.find("key", "a") is None
    assert list((cache.folder / "unfinished").iterdir()) == []


def test_a_layer_that_was_cut_short_is_made_again(cache: LayerCache) -> None:
    layer, _ = cache.layer("key", "a", lambda writer: writer.add("a", b"a" * 5000))
    with layer.path.open("r+b") as file:
        file.truncate(100)
    again, was_there = cache.layer("key", "a", lambda writer: writer.add("a", b"a" * 5000))
    assert not was_there
    assert oci.digest_of(again.path.read_bytes()) == again.descriptor.digest


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    "a half": lambda data: data[: len(data) // 2],
    "all": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("files", ["blobs/sha256/*", "layers/*", "bases/*"])
def test_a_damaged_cache_mends_itself(
    files: str, damage: str, builder: DirectBuilder, cache: LayerCache, base: str, greeting: Wheel
) -> None:
    """Layers, the base's manifest, configuration and layers, and what is noted about them."""
    spec = parts.make_spec(base, greeting)
    sound = builder.build(spec)
    found = list(cache.folder.glob(files))
    assert found
    for path in found:
        data = path.read_bytes()
        path.unlink()  # it may be one file with that of another test
        path.write_bytes(DAMAGES[damage](data))
    assert builder.build(spec).digest == sound.digest
    for layer in sound.layers:
        kept = cache.blob(layer.digest)
        assert kept is not None
        assert oci.digest_of(kept.read_bytes()) == layer.digest


def test_a_killed_build_leaves_nothing_that_the_next_one_takes_for_whole(
    base: str, greeting: Wheel, tmp_path: Path
) -> None:
    words = [str(tmp_path / "cache"), base, str(parts.fetch(greeting))]
    command = [sys.executable, "-m", "tests.images.parts", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("cache/unfinished/*")):
        continue
    process.kill()
    process.wait()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    (tmp_path / "clean").mkdir()
    command[3] = str(tmp_path / "clean")
    clean = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == clean.stdout


def test_no_room_left(base: str, greeting: Wheel, tmp_path: Path) -> None:
    """A limit on files stands in for a disk: the same call fails, in the same way."""
    words = [str(tmp_path / "cache"), base, str(parts.fetch(greeting))]
    done = subprocess.run(
        [sys.executable, "-m", "tests.images.parts", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
        check=False,
        capture_output=True,
        text=True,
    )
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert list((tmp_path / "cache" / "unfinished").iterdir()) == []


# ------------------------------------------------------------------------- what cannot be built


def fails(builder: DirectBuilder, base: str, *wheels: Wheel) -> str:
    with pytest.raises(ImageError) as caught:
        builder.build(parts.make_spec(base, *wheels))
    return caught.value.message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"../evil.py": b"x = 1\n"}, "points out of it"),
        ({"/etc/passwd": b"x\n"}, "points out of it"),
        ({"bad-1.0.data/elsewhere/x": b"x\n"}, "nobody knows where"),
        ({"bad-1.0.dist-info/entry_points.txt": b"[console_scripts]\nx = 1 + 1\n"}, "entry point"),
        ({"bad-1.0.dist-info/entry_points.txt": b"[console_scripts]\n../x = a:b\n"}, "entry point"),
        ({"bad-1.0.dist-info/entry_points.txt": b"x = a:b\n"}, "entry_points.txt"),
        ({"other-1.0.dist-info/METADATA": b"x\n"}, "RECORD"),
    ],
)
def test_a_wheel_that_is_not_sound(
    builder: DirectBuilder, base: str, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    said = fails(builder, base, parts.make_wheel(tmp_path, "bad", files))
    assert said.startswith("bad-1.0-py3-none-any.whl is not a sound wheel")
    assert message in said


@pytest.mark.parametrize("change", ["no zip", "short", "flipped"])
def test_a_damaged_wheel(builder: DirectBuilder, base: str, tmp_path: Path, change: str) -> None:
    wheel = parts.make_wheel(tmp_path)
    file = parts.fetch(wheel)
    data = bytearray(file.read_bytes())
    if change == "no zip":
        data[:] = b"this is not a zip archive"
    elif change == "short":
        del data[-40:]
    else:
        data[data.index(b"words.txt") + 30] ^= 0xFF
    file.write_bytes(data)
    assert "damaged" in (said := fails(builder, base, wheel)) or "not a sound wheel" in said


def test_why_an_engine_is_needed(builder: DirectBuilder, base: str, greeting: Wheel) -> None:
    spec = parts.make_spec(base, greeting)
    assert builder.why_not(spec) is None
    sdist = replace(greeting, filename="greeting-1.0.tar.gz")
    reasons = [
        builder.why_not(replace(spec, sdists=(sdist,))),
        builder.why_not(replace(spec, apt=("libgomp1", "curl"))),
        builder.why_not(replace(spec, python="3.99")),
    ]
    assert reasons == [
        "greeting 1.0 has no wheel for linux/amd64 and is compiled",
        "Debian packages (libgomp1, curl) are installed by their own tools",
        "there is no Python 3.99 on this machine to compile its bytecode",
    ]


# ------------------------------------------------------------------------- bases


def make_base(folder: Path, paths: list[str], **config: object) -> str:
    """Write a base image whose only layer has empty files at these paths."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as layer:
        for path in paths:
            layer.addfile(tarfile.TarInfo(path))
    plain = raw.getvalue()
    document = oci.encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [oci.digest_of(plain)]},
            **config,
        }
    )
    layer = oci.describe("application/vnd.oci.image.layer.v1.tar", plain)
    manifest = oci.Manifest(oci.describe(oci.CONFIG, document), (layer,)).encode()
    path = folder / "made.tar"
    with path.open("wb") as file:
        blobs = {oci.digest_of(document): document, layer.digest: plain}
        oci.write_archive(file, "made:1", manifest, blobs)
    return f"oci:{path}"


def test_a_base_without_python(builder: DirectBuilder, tmp_path: Path) -> None:
    said = fails(builder, make_base(tmp_path, ["bin/sh"]))
    assert said.endswith(f"has no Python {parts.PYTHON}: it has no Python")
    said = fails(builder, make_base(tmp_path, ["usr/bin/python3.5", "./usr/local/bin/python3.7"]))
    assert said.endswith("it has Python 3.5, 3.7")


def test_the_python_that_stands_first_on_the_path_is_taken(
    builder: DirectBuilder, tmp_path: Path
) -> None:
    name = f"bin/python{parts.PYTHON}"
    base = make_base(tmp_path, [f"opt/conda/{name}", f"usr/{name}", "lib64/ld-linux-x86-64.so.2"])
    root = unpacked(builder.build(parts.make_spec(base)), tmp_path / "root")
    assert (root / "opt/levada/bin/python").readlink() == Path(f"/usr/{name}")
    assert "home = /usr/bin\n" in (root / "opt/levada/pyvenv.cfg").read_text()


def test_an_image_for_another_platform(
    builder: DirectBuilder, tmp_path: Path, greeting: Wheel
) -> None:
    paths = [f"usr/bin/python{parts.PYTHON}", "lib/ld-linux-aarch64.so.1"]
    base = make_base(tmp_path, paths, architecture="arm64", variant="v8")
    spec = replace(parts.make_spec(base, greeting), platform="linux/arm64")
    config = configuration(builder.build(spec))
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")


def test_the_manifest_of_the_platform_is_taken_from_an_index() -> None:
    platforms = [("amd64", ""), ("arm64", "v8"), ("arm", "v7"), ("unknown", "")]
    manifests = [
        {
            "digest": f"sha256:{number}",
            "platform": {"os": "linux", "architecture": name, "variant": variant},
        }
        for number, (name, variant) in enumerate(platforms)
    ]
    index = oci.encode({"manifests": manifests})
    wanted = ("linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/arm/v7")
    found = [oci.choose_platform(index, platform, "x") for platform in wanted]
    assert found == ["sha256:0", "sha256:1", "sha256:1", "sha256:2"]
    with pytest.raises(ImageError) as caught:
        oci.choose_platform(index, "linux/s390x", "x")
    assert "linux/amd64, linux/arm/v7, linux/arm64/v8" in caught.value.way_out


def test_wheels_for_glibc_on_musl(builder: DirectBuilder, tmp_path: Path, greeting: Wheel) -> None:
    base = make_base(tmp_path, [f"usr/bin/python{parts.PYTHON}", "lib/ld-musl-x86_64.so.1"])
    wheel = replace(greeting, filename="greeting-1.0-cp311-cp311-manylinux_2_28_x86_64.whl")
    reason = builder.why_not(parts.make_spec(base, wheel))
    assert reason == "the base image has musl (Alpine) and the locked wheels are for glibc"


def test_bases_that_are_none(builder: DirectBuilder, tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("text")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    other = make_base(tmp_path, [], architecture="arm64")
    said = [
        fails(builder, f"oci:{tmp_path}/nothing.tar"),
        fails(builder, f"oci:{tmp_path}/text.tar"),
        fails(builder, f"oci:{tmp_path}/empty.tar"),
        fails(builder, "Not an image"),
        fails(builder, other),
    ]
    assert said[0] == f"there is no base image {tmp_path}/nothing.tar"
    assert said[1].startswith(f"{tmp_path}/text.tar cannot be read")
    assert said[2] == f"{tmp_path}/empty.tar is no OCI archive: it has no index.json"
    assert said[3] == "'Not an image' does not name an image"
    assert "is for linux/arm64, not for linux/amd64" in said[4]


def test_a_base_is_pinned_by_digest(builder: DirectBuilder, base: str) -> None:
    name, _, digest = base.partition("@")
    assert builder.pin(name, "linux/amd64") == base
    assert builder.pin(base, "linux/amd64") == base
    wrong = f"{name}@sha256:{'0' * 64}"
    assert fails(builder, wrong) == f"there is no image {wrong}"
    assert digest.startswith("sha256:")


# ------------------------------------------------------------------------- reading what was built


def layout(built: BuiltImage) -> Path:
    return Path(built.reference.removeprefix("oci:").partition("@")[0])


def blob(built: BuiltImage, digest: str) -> Path:
    return layout(built) / oci.blob_path(digest)


def configuration(built: BuiltImage) -> dict:  # type: ignore[type-arg]
    index = json.loads((layout(built) / "index.json").read_bytes())
    assert index["manifests"][0]["digest"] == built.digest
    manifest = json.loads(blob(built, built.digest).read_bytes())
    config: dict[str, object] = json.loads(blob(built, manifest["config"]["digest"]).read_bytes())
    return config


def archives(built: BuiltImage) -> list[tarfile.TarFile]:
    """Give the layers above the base."""
    own = (layer for layer in built.layers if layer.title != "base")
    data = (blob(built, layer.digest).read_bytes() for layer in own)
    return [tarfile.open(fileobj=io.BytesIO(item)) for item in data]


def unpacked(built: BuiltImage, root: Path) -> Path:
    for archive in archives(built):
        archive.extractall(root, filter="fully_trusted")
    return root


def contents(folder: Path, name: str) -> set[str]:
    files = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {f"{name}/{path.relative_to(folder).as_posix()}" for path in files}
