"""Programs of an image without Python and Levada: in a loop, in a branch, and one that fails."""

from pathlib import Path

from levada import container, pipeline, step

TOOLS = "levada.local/tools:1"

double = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["cat /levada/in/data /levada/in/data > /levada/out/twice"],
    inputs={"data": Path},
    outputs={"twice": Path},
)
count = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["wc -l < /levada/in/data > /levada/out/lines"],
    inputs={"data": Path},
    outputs={"lines": int},
)
limit = container(
    TOOLS,
    command=["/bin/sh", "-c"],
    args=["read lines < /levada/in/lines; test $lines -lt 9 || exit 3"],
    inputs={"lines": int},
)


@step
def write(rows: int) -> Path:
    path = Path(f"/tmp/rows-{rows}.txt")
    path.write_text("row\n" * rows)
    return path


@step
def add(counts: list[int]) -> int:
    return sum(counts)


@pipeline
def programs(sizes: list[int]):
    counts = [count(data=double(data=write(size))) for size in sizes]
    total = add(counts)
    if total > 4:
        limit(lines=total)
    return counts, total
