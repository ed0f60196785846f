"""User's strings are data on every engine, whatever they look like."""

from levada import pipeline, step

TEMPLATE = "{{ params }} {% raw %} {{ '{{' }} {# c #}"
SHELL = "$(VAR) ${HOME} $HOME `id` \"double\" 'single' \\ back ; rm && | > < * ? ! ~"
LINES = "one\ntwo\r\nthree\ttab   end  "
ESCAPES = "%7B%24%25 %2524 &lt; \\u0041 =3D"
UNICODE = "naïve 漢字 🎉 \u202e \u0000 \x7f é"


@step
def echo(text: str) -> str:
    return text


@step
def lengths(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


@pipeline
def strings(given: str = "{{ run_id }}", more: list[str] = ["%s", "{0}"]):
    a = echo(TEMPLATE)
    b = echo(SHELL)
    c = echo(LINES)
    d = echo(UNICODE)
    e = echo(f"{given}{{{{ x }}}}$({given})")
    f = echo(ESCAPES)
    each = [echo(text) for text in more]
    return lengths([a, b, c, d, e, f, given]), a, b, c, d, e, f, each
