"""What can go wrong around a step, apart from the step itself."""

from __future__ import annotations


class StepError(Exception):
    """A step cannot be run as asked. The message says why, and a way out."""


class InputError(StepError):
    """An input of a step is not there: what should have given it failed, or was left out."""


class ReturnError(StepError):
    """What a step returned is not what it declares: other outputs, or another type.

    ``place`` is where it is declared: the file, the line and the function's name.
    """

    place: tuple[str, int, str] | None = None


class SecretOutputError(StepError):
    """A step returned, or stored as an artifact, the value of a secret."""


class ProgramError(Exception):
    """The program of a container step failed, or did not do what it was to do."""


class UsageError(Exception):
    """A command line that means nothing."""


class Cancelled(BaseException):
    """Raised in the step by a SIGTERM, so that it can clean up and its record can be written."""


class TimedOut(BaseException):
    """Raised in the step when its time is over."""
