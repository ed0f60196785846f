"""Container steps: images without Python and Levada, the second one without a shell too.

The commands of `count`, `copy`, `measure`, `refuse` and `forget` have all paths, as Kubeflow needs it.
"""

from pathlib import Path

from levada import Resources, Retry, container, pipeline, step

TOOLS = "levada.local/tools:1"
COPIER = "levada.local/copier:1"

count = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["wc -l < /levada/in/data > /levada/out/lines && echo $GREETING && cat /levada/in/more"],
    inputs={"data": Path, "more": dict[str, int]},
    outputs={"lines": int},
    environment={"GREETING": "hello"},
)
copy = container(
    COPIER,
    command=["/busybox", "cp", "-r"],
    args=["/levada/in/source", "/levada/out/target"],
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
fail = container(  # by the entry point of the image
    TOOLS, args=["sh", "-c", "echo the reason >&2; exit 3"], outputs={"n": int}
)
fail_on = container(
    TOOLS,
    args=["sh", "-c", "echo $GREETING; cat /levada/in/data; exit 3"],
    inputs={"data": Path},
    outputs={"n": int},
    environment={"GREETING": "hello $(USER)"},
)
fail_twice = container(
    TOOLS,
    args=["sh", "-c", "cat /levada/in/data; exit 3"],
    inputs={"data": Path},
    outputs={"n": int},
    retry=Retry(1, delay=1),
)
refuse = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["cat /levada/in/data; echo 1 > /levada/out/n; exit 3"],
    inputs={"data": Path},
    outputs={"n": int},
)
forget = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["echo /levada/in/data /levada/out/lines"],
    inputs={"data": Path},
    outputs={"lines": int},
)
mistake = container(
    TOOLS, command=["/bin/sh", "-c"], args=["echo many > /levada/out/n"], outputs={"n": int}
)
absent = container(TOOLS, command=["/bin/absent"])
absent_on = container(TOOLS, command=["/bin/absent"], inputs={"data": Path})
rest = container(TOOLS, command=["/bin/sleep", "40"], inputs={"data": Path})
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


leak = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=['echo "it is $TOKEN"; test "$TOKEN" = "open sesame" && exit 4'],
    secrets={"TOKEN": "store/token"},
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
def failing_twice(rows: int = 1):
    return fail_twice(data=write(rows))


@pipeline
def refusing(rows: int = 1):
    return refuse(data=write(rows))


@pipeline
def measuring(rows: int = 1):
    """Two calls of one program, whose tasks have the same containers."""
    text = read(fill(write(rows)))
    return measure(text=text).size, measure(text="bb").size


@pipeline
def forgetting(rows: int = 1):
    return forget(data=write(rows))


@pipeline
def mistaken():
    return mistake()


@pipeline
def lacking():
    absent()


@pipeline
def lacking_later(rows: int = 1):
    absent_on(data=write(rows))


@pipeline
def patient(rows: int = 1):
    rest(data=write(rows))


@pipeline
def waiting():
    wait()


@pipeline
def eating():
    eat()


@pipeline
def telling():
    told()


@pipeline
def leaking():
    leak()


@step(image="levada.local/tools:1")
def unable() -> int:
    return 1


@pipeline
def unsuited():
    return unable()
