"""Values to trees and back: nothing is lost, nothing runs, the same value has the same bytes."""

import json
import math
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levada import values
from levada.artifact import Artifact, CorruptArtifact, MaterializerError, NoField
from levada.program_modules import ProgramModules
from levada.project import Project
from levada.store import MissingBlob, Store, StoreError, open_store

from tests.runtime.markdown_cases import read_cases
from tests.runtime.values import shapes

CASES = Path(__file__).parent / "values"
NAMES = {
    **{
        cls.__name__: cls
        for cls in (Counter, OrderedDict, defaultdict, deque, Path, UUID, ZoneInfo)
    },
    **{cls.__name__: cls for cls in (date, datetime, time, timedelta, timezone, Decimal, Fraction)},
    "math": math,
    "shapes": shapes,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def same(left: object, right: object) -> bool:
    """Whether two values are equal and of the same types, NaN and the sign of zero included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, Decimal) and left.is_nan():
        return str(left) == str(right)
    return left == right


@pytest.mark.parametrize(("text", "tree", "display"), read_cases(CASES / "trees.md"))
def test_tree(text: str, tree: str, display: str, store: Store) -> None:
    value = eval(text, dict(NAMES))
    found = values.encode(value, store)
    assert found == json.loads(tree)
    assert json.loads(json.dumps(values.display(found))) == json.loads(display)
    assert same(values.decode(json.loads(values.canonical(found)), store), value)
    artifact = values.save(value, store)
    assert artifact.digest == values.digest(found)
    assert same(values.load(artifact, store), value)


@pytest.mark.parametrize(("text", "message"), read_cases(CASES / "refused.md"))
def test_refused(text: str, message: str, store: Store) -> None:
    with pytest.raises(MaterializerError) as caught:
        values.save(eval(text, dict(NAMES)), store)
    assert str(caught.value) == message


atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.binary(),
    st.text(st.characters()), st.text(st.sampled_from("a\ud83d\ude00$😀\0")), st.uuids(),
    st.decimals(allow_nan=False), st.fractions(), st.dates(), st.times(), st.timedeltas(),
    st.datetimes(), st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.sampled_from([ZoneInfo("Europe/Lisbon"), ZoneInfo("UTC")])),
    st.integers(min_value=2**2040, max_value=2**2060), st.sampled_from(shapes.Colour),
    st.builds(range, st.integers(), st.integers(), st.integers(min_value=1)),
)  # fmt: skip
keys = st.one_of(st.text(), st.integers(), st.booleans(), st.tuples(st.text(), st.integers()))


def containers(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(children),
        st.lists(children).map(tuple),
        st.dictionaries(keys, children),
        st.dictionaries(keys, children).map(OrderedDict),
        st.dictionaries(keys, children).map(lambda pairs: defaultdict(list, pairs)),
        st.lists(children).map(lambda items: deque(items, 10)),
        st.sets(keys),
        st.frozensets(keys),
        st.builds(shapes.Point, children, children),
        st.builds(shapes.Report, children, children),
    )


@settings(max_examples=300)
@given(st.recursive(atoms, containers, max_leaves=20))
def test_any_tree_comes_back(value: object) -> None:
    data = values.canonical(values.encode(value))
    tree = json.loads(data)
    assert values.canonical(tree) == data
    assert values.canonical(values.encode(values.decode(tree))) == data
    json.dumps(values.display(tree), allow_nan=False)


@settings(max_examples=100)
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner),
            st.dictionaries(
                st.sampled_from(["a", "$set", "$artifact", "$enum", "$dataclass"]), inner
            ),
        ),
    )
)
def test_any_json_is_a_value_or_refused(tree: object) -> None:
    with suppress(CorruptArtifact, MaterializerError):
        values.decode(tree)


def test_deep_values_come_back_or_are_refused(store: Store) -> None:
    value: list[object] = []
    for _ in range(199):
        value = [value]
    assert values.load(values.save(value, store), store) == value
    with pytest.raises(MaterializerError, match=r"nested more than 200 deep.{,150}$"):
        values.save([value], store)


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from levada import values;"
        "print(values.digest(values.encode([{'b', 'a', 'é', 1}, frozenset('xyz'), {'k': {'v'}}])))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert len(digests) == 1


def test_the_digest_tells_values_apart() -> None:
    alike = [1, 1.0, True, "1", [1], (1,), {1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, -0.0, 0.0]
    assert len({values.digest(values.encode(value)) for value in alike}) == len(alike)


def test_a_file_is_not_the_bytes_in_it(store: Store, tmp_path: Path) -> None:
    data = b"x" * 100_000
    (tmp_path / "data.bin").write_bytes(data)
    trees = [
        values.encode(value, store) for value in (data, bytearray(data), tmp_path / "data.bin")
    ]
    assert len({values.digest(tree) for tree in trees}) == 3


def test_loading_constructs_nothing(store: Store) -> None:
    loose = shapes.Loose(2)
    assert loose.cache == 2
    loose.twice = 5
    artifact = values.save(loose, store)
    before = shapes.Loose.constructed
    loaded = values.load(artifact, store)
    assert (loaded, loaded.twice, shapes.Loose.constructed) == (loose, 5, before)


def test_the_private_state_of_a_model_comes_back(store: Store) -> None:
    order = shapes.Order(size=1)
    order._seen = 7
    loaded = values.load(values.save(order, store), store)
    assert loaded == order
    assert loaded._seen == 7
    assert loaded.model_fields_set == {"size"}


def test_fields_are_read_without_the_rest(store: Store) -> None:
    large = b"x" * 100_000
    report = values.save(shapes.Report(large, 0.5), store)
    model = values.field(report, "model", store)
    assert isinstance(model, Artifact)
    assert values.load(model, store) == large
    assert values.field(report, "auc", store) == 0.5
    pair = values.save((1, {"a": 2}), store)
    assert values.field(pair, "_1", store) == {"a": 2}
    for artifact, name in ((report, "count"), (pair, "_2"), (values.save({"a": 1}, store), "a")):
        with pytest.raises(NoField):
            values.field(artifact, name, store)


def test_an_artifact_in_a_value_is_a_leaf_as_it_is(store: Store) -> None:
    stored = values.save({"a": (1, 2)}, store)
    tree = values.encode([stored, 3], store)
    assert values.decode(tree, store) == [{"a": (1, 2)}, 3]
    assert values.display(tree, store) == [{"a": [1, 2]}, 3]
    assert values.digest({"$artifact": stored.as_json()}) == stored.digest


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        ({"$enum": ["os:system", "x"]}, MaterializerError),
        ({"$dataclass": ["os:system", {}]}, MaterializerError),
        ({"$dataclass": ["subprocess:Popen", {"args": "true"}]}, MaterializerError),
        ({"$namedtuple": ["builtins:object", {}]}, MaterializerError),
        ({"$pydantic": ["builtins:dict", {}, {}]}, MaterializerError),
        ({"$enum": ["antigravity:X", "x"]}, MaterializerError),
        ({"$enum": ["__main__:X", "x"]}, MaterializerError),
        ({"$enum": ["tests.runtime.values.shapes:Colour.__class__", "RED"]}, MaterializerError),
        ({"$enum": ["tests.runtime.values.shapes:Colour", "BLUE"]}, MaterializerError),
        ({"$dataclass": ["tests.runtime.values.shapes:Point", {"x": 1}]}, MaterializerError),
        ({"$defaultdict": ["exec", []]}, CorruptArtifact),
        ({"$numpy": ["O", "x"]}, CorruptArtifact),
        ({"$float": "1e999"}, CorruptArtifact),
        ({"$nothing": 1}, CorruptArtifact),
        ({"$set": [1], "a": 2}, CorruptArtifact),
        ({"$datetime": ["2026-01-01", "../../etc/passwd", 0]}, CorruptArtifact),
        ({"$artifact": {"digest": "sha256:../../x"}}, CorruptArtifact),
    ],
    ids=lambda case: json.dumps(case) if isinstance(case, dict) else "",
)
def test_a_crafted_tree_runs_nothing(tree: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        values.decode(tree)
    assert "antigravity" not in sys.modules


KINDS = "import enum\nclass Kind(enum.Enum):\n    A = 1\n"
LAZY = "from shapes import sides\ndef f():\n    import kinds_of_lazy\n"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of which ``flow.py`` is a pipeline's file, and a store in it."""
    files = {
        "flow.py": LAZY,
        "shapes/__init__.py": "",
        "shapes/sides.py": "from .kinds_of_sides import Kind",
        "shapes/kinds_of_sides.py": KINDS,
        "kinds_of_lazy.py": KINDS,
        "kinds_of_script.py": KINDS,
        "artifacts/kinds_of_store.py": KINDS,
        "../elsewhere/kinds_of_elsewhere.py": KINDS,
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    before = set(sys.modules)
    yield tmp_path / "project"
    values.set_program(())
    for name in set(sys.modules) - before:
        del sys.modules[name]


def trust(program: Path, pipeline_file: str | None, store: str = "artifacts") -> None:
    project = Project(str(program), [str(program)])
    values.set_program(ProgramModules(project, open_store(str(program / store)), pipeline_file))


@pytest.mark.parametrize("module", ["shapes.kinds_of_sides", "kinds_of_lazy"])
def test_a_module_of_the_program_is_imported(program: Path, module: str) -> None:
    trust(program, "flow.py")
    assert values.decode({"$enum": [f"{module}:Kind", "A"]}).value == 1


@pytest.mark.parametrize(
    "module", ["kinds_of_script", "artifacts.kinds_of_store", "kinds_of_elsewhere"]
)
def test_no_other_module_is_imported(program: Path, module: str) -> None:
    trust(program, "flow.py")
    with pytest.raises(MaterializerError, match="neither imported nor a module that the pipeline"):
        values.decode({"$enum": [f"{module}:Kind", "A"]})
    assert module not in sys.modules


def test_without_the_pipelines_file_all_of_the_project_is_the_program(program: Path) -> None:
    """An image has the modules that its steps need, and may not have that one."""
    for missing in (None, "flows/other.py"):
        trust(program, missing)
        assert values.decode({"$enum": ["kinds_of_script:Kind", "A"]}).value == 1
        with pytest.raises(MaterializerError, match="neither imported"):
            values.decode({"$enum": ["artifacts.kinds_of_store:Kind", "A"]})


def test_what_a_step_gave_makes_nothing_by_calling_a_class(store: Store) -> None:
    """Only the parameters of a run are made so: what is in the store chooses no arguments."""
    tree = {"$made": ["tests.runtime.values.shapes:Point", {"x": 1, "y": 2}]}
    data = values.canonical(tree)
    artifact = Artifact(store.put_blob(data), len(data), "json", "tree", "shapes:Point")
    with pytest.raises(CorruptArtifact, match="can only be a part of a run's parameters"):
        values.load(artifact, store)


@pytest.mark.parametrize("store", [".", ".."])
def test_nothing_is_imported_from_a_store(program: Path, store: str) -> None:
    with pytest.raises(StoreError, match="whoever writes to the store would have code run"):
        trust(program, "flow.py", store)


def test_damage_is_found(store: Store) -> None:
    artifact = values.save([b"x" * 100_000, "text"], store)
    tree = json.loads(store.read_blob(artifact.digest))
    leaf = Artifact.from_json(tree[0]["$artifact"])
    assert values.verify(artifact, store)
    path = Path(store.blob_path(leaf.digest) or "")
    path.chmod(0o644)
    path.write_bytes(b"y" * 100_000)
    assert not values.verify(artifact, store)
    with pytest.raises(StoreError, match="damaged"):
        values.load(artifact, store)
    path.unlink()
    assert not values.verify(artifact, store)
    with pytest.raises(MissingBlob, match="run the step that made it again"):
        values.load(artifact, store)


def test_saving_again_repairs_a_damaged_blob(store: Store) -> None:
    for value in (["small"], b"large" * 1_000_000):
        artifact = values.save(value, store)
        path = Path(store.blob_path(artifact.digest) or "")
        path.chmod(0o644)
        path.write_bytes(b"other")
        assert values.save(value, store) == artifact
        assert values.load(artifact, store) == value


class Opaque:
    """Known to no materializer."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque)

    __hash__ = None  # type: ignore[assignment]


def test_pickles_are_asked_for_twice(store: Store) -> None:
    artifact = values.save({"model": Opaque()}, store, allow_pickle=True)
    assert artifact.is_pickled
    assert values.load(artifact, store, allow_pickle=True) == {"model": Opaque()}
    with pytest.raises(
        MaterializerError, match=r"@step\(allow_pickle=True\) on the step that takes"
    ):
        values.load(artifact, store)
    with pytest.raises(MaterializerError, match="cannot even be pickled"):
        values.save([threading.Lock()], store, allow_pickle=True)
    assert not values.save({"plain": 1}, store, allow_pickle=True).is_pickled


def test_importing_costs_no_heavy_module() -> None:
    program = (
        "import sys, levada.values, levada.store;"
        "print(sorted({'typing', 'dataclasses', 'pathlib', 'asyncio', 'hashlib', 'inspect',"
        " 'importlib.metadata', 'tempfile', 'shutil', 'datetime'} & set(sys.modules)))"
    )
    run = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"
