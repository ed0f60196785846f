"""Container steps whose commands have all paths, as Kubeflow needs it."""

from pathlib import Path

from levada import container, pipeline, step

count = container(
    "levada.local/tools:1",
    command=["/bin/sh", "-c"],
    args=["wc -l < /levada/in/data > /levada/out/lines && echo $GREETING && cat /levada/in/more"],
    inputs={"data": Path, "more": dict[str, int]},
    outputs={"lines": int},
    environment={"GREETING": "hello"},
)
copy = container(
    "levada.local/copier:1",
    command=["/busybox", "cp", "-r"],
    args=["/levada/in/source", "/levada/out/target"],
    inputs={"source": Path},
    outputs={"target": Path},
)
measure = container(
    "levada.local/tools:1",
    command=["/bin/sh", "-c"],
    args=["cat /levada/in/text > /levada/out/same; wc -c < /levada/in/text > /levada/out/size"],
    inputs={"text": str},
    outputs={"same": str, "size": float},
)
forget = container(
    "levada.local/tools:1",
    command=["/bin/sh", "-c"],
    args=["echo /levada/in/data /levada/out/lines"],
    inputs={"data": Path},
    outputs={"lines": int},
)


@step
def write(rows: int) -> Path:
    path = Path("/tmp/rows.txt")
    path.write_text("row\n" * rows)
    return path


@step
def fill(rows: Path) -> Path:
    folder = Path("/tmp/folder")
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "inner" / "rows").write_bytes(rows.read_bytes())
    return folder


@step
def read(folder: Path) -> str:
    return (folder / "inner" / "rows").read_text()


@pipeline
def files(rows: int = 2):
    data = write(rows)
    lines = count(data=data, more={"rows": rows})
    rows_again = read(copy(source=fill(data)))
    measured = measure(text="été")
    return lines, rows_again, measured.same, measured.size


@pipeline
def forgetting(rows: int = 1):
    return forget(data=write(rows))
