"""Whatever is in the store, a run gives what plain Python gives, or fails by an error of ours.

A pipeline runs once. Then one thing in its store is damaged and it runs again, with the cache. Only
what is forged, so that all digests are right, may make it fail or give other values. After other
damage it gives the same, and warns if a step had to run again. The
damage is chosen by a seed: LEVADA_DAMAGE=1000 tries a thousand, LEVADA_DAMAGE_FROM=7 starts at 7.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
import random
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from levada import values
from levada.artifact import ArtifactError
from levada.engine.events import WARNING
from levada.store import StoreError, digest_of, open_store

from tests.engine.project import Project

FIRST = int(os.environ.get("LEVADA_DAMAGE_FROM", "0"))
COUNT = int(os.environ.get("LEVADA_DAMAGE", "40"))

#: What Python says of a value of another type in an expression of the pipeline.
OF_A_VALUE = re.compile(
    r"object has no attribute|not subscriptable|out of range|unsupported operand|not iterable"
    r"|not supported between|indices must be|can only concatenate|^'\w*'$"
)

SOURCE = """
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass
class Point:
    x: int
    names: list[str]


@step
def point(x: int) -> Point:
    return Point(x, [f"name {x} {i}" for i in range(400)])


@step
def plain(n: int) -> dict:
    return {"n": n, "numbers": list(range(3000)), "pair": (n, 2.5), "set": {n}, "text": "é" * 20}


@step
def array(n: int) -> np.ndarray:
    return np.arange(20_000) * n


@step
def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [n, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])})


@step
def folder(n: int) -> Path:
    made = Path(tempfile.mkdtemp()) / "made"
    (made / "below").mkdir(parents=True, exist_ok=True)
    (made / "below" / "a.txt").write_text(f"text {n}")
    (made / "b.txt").write_text("b" * 1000)
    return made


@step
def raw(n: int) -> bytes:
    return bytes(range(256)) * 300 * n


@step
def summary(
    points: list[Point], plain: dict, a: np.ndarray, f: pd.DataFrame, d: Path, r: bytes
) -> dict:
    return {
        "points": [[p.x, p.names] for p in points],
        "plain": repr(plain),
        "array": int(a.sum()),
        "frame": f.to_json(),
        "folder": {str(p.relative_to(d)): p.read_text() for p in sorted(d.rglob("*.txt"))},
        "raw": dict(Counter(r)),
    }


@pipeline
def main(xs: list[int] = [1, 2]):
    points = [point(x) for x in xs]
    one = plain(1)
    first = points[0].x + one["pair"][0]
    more = [plain(n) for n in one["pair"]] if first > 1 else []
    made = summary(points, one, array(2), frame(3), folder(4), raw(first))
    return made, points, one, more, [name for name in points[1].names]
"""

Json = Any


class Damage:
    """One damage of a store, chosen by a seed."""

    def __init__(self, store: Path, canary: Path, seed: int) -> None:
        self.store = store
        self.canary = canary
        self.random = random.Random(seed)
        self.said = ""
        self.rewritten = False
        self.forged = False

    def apply(self) -> None:
        """Damage something; ``said`` says what."""
        kind = self.random.choice(
            [
                *(self.flip, self.cut, self.replace, self.other_file),
                *(self.document, self.document, self.rewrite, self.rewrite),
            ]
        )
        kind()

    def pick(self, *folders: str) -> Path:
        files = [
            path for folder in folders for path in sorted((self.store / folder).rglob("*"))
            if path.is_file()
        ]  # fmt: skip
        return self.random.choice(files)

    def write(self, path: Path, data: bytes) -> None:
        path.unlink()
        path.write_bytes(data)

    def note(self, text: str, path: Path) -> None:
        self.said += f"{text} {path.relative_to(self.store)}; "

    def flip(self) -> None:
        path = self.pick("blobs", "cache")
        self.write(path, self.flipped(path.read_bytes()))
        self.note("flip", path)

    def flipped(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice([1, 3, 50])):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def cut(self) -> None:
        path = self.pick("blobs", "cache", "runs")
        data = path.read_bytes()
        self.write(path, data[: self.random.randrange(len(data) + 1)])
        self.note("cut", path)

    def replace(self) -> None:
        path, other = self.pick("cache"), self.pick("cache", "runs")
        self.write(path, other.read_bytes())
        self.note(f"replace by {other.name}:", path)

    def other_file(self) -> None:
        """Put a folder, a link or a pipe in the place of a file, or of a folder."""
        path = self.pick("blobs", "cache")
        above = [self.store / name for name in ("blobs", "blobs/sha256", "cache", "runs", "tmp")]
        path = self.random.choice([path, path, path, path.parent, path.parent, *above])
        folders: list[Callable[[Path], object]] = [
            lambda place: (place / "below").mkdir(parents=True)
        ]
        if path.is_dir():
            shutil.rmtree(path)
            folders = []  # Another folder there is no damage: what was in it is gone.
        else:
            path.unlink()
        made = self.random.choice(
            [
                *folders,
                lambda place: place.symlink_to("/dev/zero"),
                lambda place: place.symlink_to(place.name),
                lambda place: place.symlink_to("/etc"),
                os.mkfifo,
                lambda place: place.write_text("a file"),
            ]
        )
        made(path)
        self.note("other file", path)

    def document(self) -> None:
        """Change something in a document, at any depth."""
        path = self.pick("cache", "cache", "cache", "runs")
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            return self.cut()
        data = json.dumps(self.changed(content)).encode()
        if self.random.random() < 0.8:
            self.forge(path, data)
        else:
            self.write(path, data)
        return self.note("document", path)

    def forge(self, path: Path, data: bytes) -> None:
        """Write a document; the name of an entry of the cache has its digest."""
        self.forged = True
        if path.is_relative_to(self.store / "cache"):
            path.unlink()
            path = path.with_name(f"{path.name.partition('-')[0]}-{digest_of(data)[7:15]}.json")
            path.write_bytes(data)
        else:
            self.write(path, data)

    def rewrite(self) -> None:
        """Change a blob and every artifact of an entry that refers to it: all digests are right."""
        entries = [path for path in sorted((self.store / "cache").rglob("*")) if path.is_file()]
        found = {path: json.loads(path.read_bytes()) for path in entries}
        artifacts = [each for content in found.values() for each in artifacts_in(content)]
        chosen = copy.deepcopy(self.random.choice(artifacts))
        path = self.store / "blobs" / "sha256" / chosen["digest"][7:9] / chosen["digest"][7:]
        data = path.read_bytes()
        try:
            content = json.loads(data)
            data = json.dumps(self.changed(content)).encode()
        except ValueError:
            data = self.flipped(data)
        new = digest_of(data)
        target = self.store / "blobs" / "sha256" / new[7:9] / new[7:]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
        for entry, content in found.items():
            for each in artifacts_in(content):
                if each["digest"] == chosen["digest"]:
                    each |= {"digest": new, "size": len(data)}
            self.forge(entry, json.dumps(content).encode())
        self.rewritten = True
        self.note(f"rewrite a {chosen['type']}", path)

    def changed(self, content: Json) -> Json:
        """Delete, retype or replace one thing in some JSON, or a few."""
        holder = {"": content}
        for _ in range(self.random.choice([1, 1, 1, 3])):
            place: Json = holder
            key: Json = ""
            while (
                isinstance(place[key], (dict, list)) and place[key] and self.random.random() < 0.8
            ):
                place = place[key]
                many = list(place) if isinstance(place, dict) else range(min(len(place), 8))
                key = self.random.choice(list(many))
            if self.random.random() < 0.2 and place is not holder:
                del place[key]
            else:
                place[key] = self.other(place[key])
        return holder[""]

    def other(self, old: Json) -> Json:
        canary = str(self.canary)
        stored = pickle.dumps(Bomb(canary))
        digest = open_store(str(self.store)).put_blob(stored)
        bomb = {
            "digest": digest, "size": len(stored), "format": "pickle", "materializer": "pickle",
            "type": "builtins:dict", "meta": {},
        }  # fmt: skip
        names = ["builtins:eval", "subprocess:Popen", "pathlib:Path", "pipeline:Point", "os:system"]
        arguments = {"args": f"touch {canary}"}
        tags = ["$made", "$dataclass", "$enum", "$flag", "$namedtuple", "$pydantic"]
        return self.random.choice(
            [
                None, True, 0, -1, 10**40, 1e300, "", "..", "../../x", "a\0b", "x" * 5000, [], {},
                [old], {"a": old}, [old, old], str(old), [[[[]]]], {"$artifact": bomb}, bomb,
                {"$artifact": {}}, {"$fraction": "1e999999999"}, {"$numpy": ["V1000000000", 0]},
                {self.random.choice(tags): [self.random.choice(names), arguments]},
                {"$path": canary}, {"$float": "x"}, nested(900), "sha256:" + "0" * 64,
            ]
        )  # fmt: skip


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (self.path,)


def nested(depth: int) -> Json:
    found: Json = []
    for _ in range(depth):
        found = [found]
    return found


def artifacts_in(content: Json) -> Iterator[dict[str, Json]]:
    if isinstance(content, dict):
        if {"digest", "materializer"} <= content.keys():
            yield content
        else:
            for each in content.values():
                yield from artifacts_in(each)
    elif isinstance(content, list):
        for each in content:
            yield from artifacts_in(each)


class Damaged:
    """A project that has run, whose store is made anew for each damage."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder, SOURCE)
        importlib.invalidate_caches()
        importlib.import_module("pipeline")
        self.canary = folder / "canary"
        outcome = self.project.run()
        assert outcome.status == "succeeded", outcome.as_json()
        self.whole = folder / "whole"
        shutil.copytree(self.project.store, self.whole)
        self.expected = self.outputs(outcome)

    def outputs(self, outcome: Any) -> list[str]:
        store = open_store(self.project.store)
        return [repr(values.decode(tree, store)) for tree in outcome.outputs]

    def check(self, seed: int) -> str:
        """Damage the store and run again; gives "" or what is wrong."""
        store = Path(self.project.store)
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(self.whole, store)
        damage = Damage(store, self.canary, seed)
        damage.apply()
        wrong = self.run_again(damage)
        if self.canary.exists():
            self.canary.unlink()
            wrong = "code was executed"
        return f"seed {seed}: {damage.said}: {wrong}" if wrong else ""

    def run_again(self, damage: Damage) -> str:
        """Run on the damaged store; gives "" or what is wrong.

        A value that is ``rewritten`` is another value, and as good as one: then the outputs are
        others, or the steps' own code fails.
        """
        try:
            outcome = self.project.run()
            if outcome.status == "succeeded":
                if not damage.rewritten and self.outputs(outcome) != self.expected:
                    return "other outputs"
                return "" if damage.forged else self.unsaid(outcome)
        except (ArtifactError, StoreError) as error:
            return "" if damage.forged else f"failed with {error}"
        except Exception as error:  # noqa: BLE001
            return "".join(traceback.format_exception(error))
        ended = outcome.error or {}
        is_ours = str(ended.get("module")).startswith("levada.") and not ended.get("frames")
        of_value = ended.get("frames") or OF_A_VALUE.search(str(ended.get("message")))
        is_allowed = is_ours or (damage.rewritten and of_value)
        return "" if damage.forged and is_allowed else f"failed with {ended}"

    def unsaid(self, outcome: Any) -> str:
        """Give "" if each step was cached or the run warned; else the steps that ran."""
        events = self.project.events
        warned = any(e.details.get("warnings") or e.kind == WARNING for e in events)
        ran = [step.label for step in outcome.steps if not step.cached]
        return f"{ran} ran again without a warning" if ran and not warned else ""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    folder = tmp_path_factory.mktemp("damaged")
    sys.path.insert(0, str(folder))
    yield Damaged(folder)
    sys.path.remove(str(folder))
    del sys.modules["pipeline"]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_a_damaged_store_is_a_miss_or_an_error_of_ours(damaged: Damaged, seed: int) -> None:
    assert damaged.check(seed) == ""
