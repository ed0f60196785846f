"""Steps that meet the walls of their containers."""

import os
import signal
import time

from levada import Resources, Retry, pipeline, step


@step(resources=Resources(memory="64Mi"))
def use_memory(size: int) -> int:
    return len(bytearray(size))


@step(resources=Resources(cpu=4096))
def use_all_cpus() -> int | None:
    return os.cpu_count()


@step
def end_by_signal() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@step(timeout=1)
def take_too_long() -> None:
    time.sleep(60)


@step(secrets=["TOKEN"])
def tell_secret() -> int:
    print("the secret is", os.environ["TOKEN"])
    return len(os.environ["TOKEN"])


@step
def write_where_it_is() -> None:
    with open("here.txt", "w") as file:
        file.write("no")


@step
def write_to_tmp(path: str) -> list[int]:
    with open("/tmp/scratch", "w") as file:
        file.write(path)
    return [os.getuid(), os.getpid()]


@step(retry=Retry(2))
def succeed_at_last() -> int:
    from levada import context

    if context().attempt < 3:
        raise ValueError("not yet")
    return context().attempt


@step
def wait() -> None:
    print("waiting", flush=True)
    time.sleep(60)


@step(image="nowhere.invalid/none:1")
def in_its_own_image() -> None:
    pass


@pipeline
def memory(size: int):
    return use_memory(size)


@pipeline
def signalled():
    return end_by_signal()


@pipeline
def timeout():
    return take_too_long()


@pipeline
def secret():
    return tell_secret()


@pipeline
def read_only():
    return write_where_it_is()


@pipeline
def scratch(path: str):
    return write_to_tmp(path)


@pipeline
def retried():
    return succeed_at_last()


@pipeline
def waiting():
    return wait()


@pipeline
def own_image():
    return in_its_own_image()


@pipeline
def all_cpus():
    return use_all_cpus()
