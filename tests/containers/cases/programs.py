"""Container steps: images without Python and Levada, the second one without a shell too."""

from pathlib import Path

from levada import Resources, container, pipeline, step

TOOLS = "levada.local/tools:1"
COPIER = "levada.local/copier:1"

count = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["wc -l < /levada/in/data > /levada/out/lines && echo $GREETING && cat /levada/in/more"],
    inputs={"data": Path, "more": dict[str, int]},
    outputs={"lines": int},
    environment={"GREETING": "hello $(USER)"},
)
copy = container(
    COPIER,
    args=["cp", "-r", "/levada/in/source", "/levada/out/target"],
    inputs={"source": Path},
    outputs={"target": Path},
)
measure = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["cat /levada/in/text > /levada/out/same; wc -c < /levada/in/text > /levada/out/size"],
    inputs={"text": str},
    outputs={"same": str, "size": float},
)
fail = container(
    TOOLS, command=["/bin/sh", "-c"], args=["echo the reason >&2; exit 3"], outputs={"n": int}
)
fail_on = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["cat /levada/in/data; exit 3"],
    inputs={"data": Path},
    outputs={"n": int},
)
forget = container(TOOLS, command=["/bin/sh", "-c"], args=["exit 0"], outputs={"lines": int})
mistake = container(
    TOOLS, command=["/bin/sh", "-c"], args=["echo many > /levada/out/n"], outputs={"n": int}
)
absent = container(TOOLS, command=["/bin/absent"])
wait = container(TOOLS, command=["/bin/sleep", "60"], timeout=2)
eat = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=['x=0123456789; while true; do x="$x$x"; done'],
    resources=Resources(cpu=500, memory="32Mi"),
)
told = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=['echo "it is $TOKEN"; test -n "$TOKEN"'],
    secrets={"TOKEN": "store/token"},
)


@step
def write(rows: int) -> Path:
    path = Path("rows.txt")
    path.write_text("row\n" * rows)
    return path


@step
def fill(rows: Path) -> Path:
    folder = Path("folder")
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "inner" / "rows").write_bytes(rows.read_bytes())
    return folder


@step
def read(folder: Path) -> str:
    return (folder / "inner" / "rows").read_text()


@pipeline
def programs(rows: int = 2):
    """A file, a folder, a text and JSON go through programs."""
    data = write(rows)
    lines = count(data=data, more={"rows": rows})
    rows_again = read(copy(source=fill(data)))
    measured = measure(text="été")
    return lines, rows_again, measured.same, measured.size


@pipeline
def failing():
    return fail()


@pipeline
def failing_later(rows: int = 1):
    """With a function, whose image hands the program its files."""
    return fail_on(data=write(rows))


@pipeline
def forgetting():
    return forget()


@pipeline
def mistaken():
    return mistake()


@pipeline
def lacking():
    absent()


@pipeline
def waiting():
    wait()


@pipeline
def eating():
    eat()


@pipeline
def telling():
    told()


@step(image="levada.local/tools:1")
def unable() -> int:
    return 1


@pipeline
def unsuited():
    return unable()
