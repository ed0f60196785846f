"""More inputs than one argument of a process has room for: texts, plots, a number of 91 digits."""

from typing import NewType

from levada import pipeline, step

ClassificationMetrics = NewType("ClassificationMetrics", dict)


@step
def text(n: int) -> str:
    return 'é"' * n


@step
def number(n: int) -> int:
    return 10**n


@step
def roc(n: int) -> ClassificationMetrics:
    return ClassificationMetrics(
        {
            "confidenceMetrics": [
                {"confidenceThreshold": i / n, "recall": 0.5, "falsePositiveRate": 0.1}
                for i in range(n)
            ]
        }
    )


@step
def gather(
    a: str,
    b: str,
    c: str,
    d: str,
    e: str,
    f: str,
    g: str,
    h: str,
    i: str,
    j: str,
    k: str,
    l: str,
    m: str,
    n: str,
    o: str,
    p: str,
    q: str,
    x: int,
    y: int,
) -> list[int]:
    return [len(s) for s in (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q)] + [x % 7, y]


@step
def plots(
    one: ClassificationMetrics, two: ClassificationMetrics, three: ClassificationMetrics
) -> int:
    return sum(len(each["confidenceMetrics"]) for each in (one, two, three))


@pipeline
def many_inputs(k: int = 2000):
    t = [text(k + i) for i in range(17)]
    got = gather(
        t[0],
        t[1],
        t[2],
        t[3],
        t[4],
        t[5],
        t[6],
        t[7],
        t[8],
        t[9],
        t[10],
        t[11],
        t[12],
        t[13],
        t[14],
        t[15],
        t[16],
        number(90),
        number(3),
    )
    return got, plots(roc(5), roc(3000), roc(9000))
