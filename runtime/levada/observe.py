"""What an attempt reads while the step's own code runs: files, folders, variables, connections.

An audit hook (PEP 578) notes what is opened, listed, connected to and started, and a layer over
``os.environ`` which variables the project's code reads. Everything is compared with the state that
it has once the step has ended: so a hook costs little, and a digest is taken only once.

Processes that the step forks have the hook too and report to this process. Files that code outside
of Python opens (``polars.read_csv``) are not seen, except those that a text input of the step or a
text in its function names.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager

from levada.relay import OBSERVED
from levada.store import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType
    from typing import Any

    from levada.relay import Relay

#: Folders whose files count only where the project's own code opens them.
_SYSTEM = ("/usr/", "/lib/", "/lib64/", "/etc/", "/bin/", "/sbin/")
#: Folders whose files are never the step's data.
_NEVER = ("/proc/", "/sys/", "/dev/fd/")
_INSTALLED = ("/site-packages/", "/dist-packages/")
_SOURCES = (".py", ".pyc")
#: Modules of Python through which code is imported by a computed name.
_IMPORTING_BY_NAME = ("/importlib/__init__.py", "/runpy.py", "/pkgutil.py")
_IMPORT_SYSTEM = ("<frozen importlib", "<frozen runpy", "<frozen zipimport")
_FROZEN = "<frozen "
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_UNIX_FAMILY = 1
#: Variables that differ between runs and machines and that no step's result should depend on.
_VOLATILE = frozenset(("_", "COLUMNS", "HOSTNAME", "LINES", "OLDPWD", "PWD", "SHLVL"))
_VOLATILE_PREFIXES = ("AIRFLOW", "_AIRFLOW", "KFP_", "KUBERNETES_", "LEVADA_")
ALL_VARIABLES = "*"
#: Names in a listed folder that say nothing about the step's data.
_IGNORED_NAMES = ("__pycache__", ".levada")
#: Loaded once processes were started that do not have this one's hook.
_SPAWNING = frozenset(
    (
        *("joblib.externals.loky.backend.popen_loky_posix", "loky.backend.popen_loky_posix"),
        *("multiprocessing.popen_forkserver", "multiprocessing.popen_spawn_posix"),
    )
)
#: What separates the words of a shell's command line, besides blanks.
_SHELL = str.maketrans(";|&<>()=", "        ")


class Observer:
    """Notes what this process reads between :meth:`start` and :meth:`stop`.

    ``roots`` are the folders of the project and its modules, and ``ignored`` others whose files do
    not count, all absolute. Forked processes hand over what they read by ``relay``.

    The other attributes say what was read, paths absolute: ``files`` and ``modules`` (of the
    project, imported by a computed name), ``written`` and ``extended`` (written without dropping
    what was there), ``folders`` with the digest of their names then, ``patterns`` of ``glob``,
    ``classes`` that pickles name, ``variables``, ``connections`` (``host:port``) and ``unseen``,
    reasons why not all could be seen. ``environment`` is that of before the step, ``began`` the
    time in nanoseconds.
    """

    def __init__(self, roots: list[str], ignored: list[str], relay: Relay) -> None:
        self.roots = tuple(f"{root}/" for root in roots)
        self.began = time.time_ns()
        self.environment = dict(os.environ)
        self.files: dict[str, None] = {}
        self.modules: dict[str, None] = {}
        self.written: dict[str, None] = {}
        self.extended: dict[str, None] = {}
        self.folders: dict[str, str | None] = {}
        self.patterns: dict[str, None] = {}
        self.classes: dict[str, None] = {}
        self.variables: dict[str, None] = {}
        self.connections: dict[str, None] = {}
        self.unseen: dict[str, None] = {}
        self._never = (*_NEVER, *(f"{folder}/" for folder in ignored), *_own_prefix())
        self._hosts: dict[str, str] = {}
        self.is_on = False
        self._is_forked = False
        self._relay = relay
        self._events: dict[str, Callable[..., None]] = {
            "open": self._opened,
            "pickle.find_class": self._found_class,
            "sqlite3.connect": self._opened_database,
            "glob.glob": self._matched,
            "os.listdir": self._listed,
            "os.scandir": self._listed,
            "os.remove": self._removed,
            "os.rename": self._renamed,
            "socket.getaddrinfo": self._looked_up,
            "socket.connect": self._connected,
            "socket.sendto": self._connected,
            "subprocess.Popen": self._started_process,
            "os.posix_spawn": self._spawned,
            "os.exec": self._spawned,
            "os.system": self._ran_command,
        }

    def start(self) -> None:
        """Note everything from now on."""
        self.is_on = True
        os.register_at_fork(after_in_child=self._note_fork)
        sys.addaudithook(self._hook())
        _watch_environment(self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Note nothing of what is done within."""
        was_on, self.is_on = self.is_on, False
        try:
            yield
        finally:
            self.is_on = was_on

    def stop(self) -> None:
        """Note nothing more."""
        self.is_on = False
        if not _is_watched():
            self.note("unseen", "os.environ was replaced by the step")
        if not _SPAWNING.isdisjoint(sys.modules):
            self.note("unseen", "processes that were started afresh and not forked")

    def take(self, observed: Iterable[tuple[str, str, str | None]]) -> None:
        """Add what forked processes have noted and handed over."""
        for kind, name, value in observed:
            self.note(kind, name, value)

    # ---------------------------------------------------------------- noting

    def _hook(self) -> Callable[[str, tuple[object, ...]], None]:
        """Return the hook. It is called for each file that is opened: that path is a short one."""
        files, events = self.files, self._events
        slow = (*self._never, *_SYSTEM, *_PYTHON)

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and self.is_on:
                path, flags = arguments[0], arguments[2]
                if path.__class__ is str and not flags & _WRITES:
                    if path in files:
                        return
                    if (
                        path[:1] == "/"
                        and not self._is_forked
                        and not path.endswith(_SOURCES)
                        and not path.startswith(slow)
                    ):
                        files[path] = None
                        return
            if event in events and self.is_on:
                try:
                    events[event](*arguments)
                except Exception as error:  # noqa: BLE001 - a step must not fail because of this
                    self.unseen[f"an event {event} ({type(error).__name__})"] = None

        return hear

    def _note_fork(self) -> None:
        self._is_forked = True

    def note(self, kind: str, name: str, value: str | None = None) -> None:
        """Keep a name in one of the dictionaries; in a forked process also tell its parent."""
        names: dict[str, str | None] = getattr(self, kind)
        if name in names and names[name] == value:
            return
        names[name] = value
        if self._is_forked:
            self._relay.send(OBSERVED, [kind, name, value])

    def _opened(self, path: object, _mode: object, flags: object) -> None:
        if path.__class__ is int:
            return
        self._note_opened(os.fsdecode(path), flags if isinstance(flags, int) else 0)  # type: ignore[arg-type]

    def _note_opened(self, path: str, flags: int) -> None:
        if path.endswith(_SOURCES) and self._is_of_module(path):
            return
        place = _absolute(path)
        if not self._counts(place):
            return
        if not flags & _WRITES:
            self.note("files", place)
            return
        self._note_written(place, keeps=not flags & os.O_TRUNC, reads=bool(flags & os.O_RDWR))

    def _note_written(self, place: str, *, keeps: bool, reads: bool = False) -> None:
        if place not in self.written and os.path.isfile(place):
            if place in self.files or (keeps and reads):
                self.note("unseen", f"{place} was read and then written")
            elif keeps:
                self.note("extended", place)
        self.note("written", place)

    def _counts(self, place: str) -> bool:
        """Whether a path may be the step's data, asked for by what runs just now."""
        if self.is_ignored(place):
            return False
        if place.startswith(self.roots):
            return True
        return not place.startswith((*_SYSTEM, *_PYTHON)) or self._asks()

    def is_ignored(self, place: str) -> bool:
        """Whether a path is never the step's data, whoever asks for it."""
        return place.startswith(self._never) or any(part in place for part in _INSTALLED)

    def _is_of_module(self, path: str) -> bool:
        """Whether a source or its bytecode is opened to import or to show it; notes plugins."""
        frame: FrameType | None = sys._getframe(4)  # below the hook
        if frame is None or not frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
            return _is_shown(frame)
        source = _source_of(_absolute(path))
        if not source.startswith(self.roots) or "/site-packages/" in source:
            return True
        if self._is_computed(frame, source):
            self.note("modules", source)
        return True

    def _is_at_its_name(self, module: str, source: str) -> bool:
        """Whether a module is where its name says, seen from a root: else the path was changed."""
        place = module.replace(".", "/")
        endings = (f"{place}.py", f"{place}/__init__.py")
        return any(source == f"{root}{ending}" for root in self.roots for ending in endings)

    def _is_computed(self, frame: FrameType, source: str) -> bool:
        """Whether an import is one that the syntax of the project does not show."""
        module = ""
        importer: FrameType | None = frame
        while importer is not None and importer.f_code.co_filename.startswith(_IMPORT_SYSTEM):
            if importer.f_code.co_name == "_find_and_load":
                module = module or str(importer.f_locals.get("name"))
            importer = importer.f_back
        if importer is None or not module:
            return True
        if _is_of_runtime(importer):
            return False
        file = importer.f_code.co_filename
        if file.endswith(_IMPORTING_BY_NAME):
            return True
        if _source_of(file) in self.modules or not self._is_at_its_name(module, source):
            return True
        import opcode

        instruction = importer.f_code.co_code[importer.f_lasti]
        return instruction not in (opcode.opmap["IMPORT_NAME"], opcode.opmap.get("IMPORT_FROM"))

    def _found_class(self, module: str, name: str) -> None:
        """Note a class or function of the project that a pickle names."""
        source = _source_of(getattr(sys.modules.get(module), "__file__", None) or "")
        if module not in sys.modules:  # it is about to be imported
            place = module.replace(".", "/")
            files = (
                f"{root}{place}{end}" for root in self.roots for end in (".py", "/__init__.py")
            )
            source = next(filter(os.path.isfile, files), "")
        if source.startswith(self.roots) and not any(part in source for part in _INSTALLED):
            self.note("classes", f"{module}:{name}")

    def _opened_database(self, database: object) -> None:
        text = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
        text = text.removeprefix("file:").partition("?")[0]
        if text and text != ":memory:":
            self._note_opened(text, 0)

    def _matched(self, pattern: object, recursive: object = False) -> None:
        text = _absolute(os.fsdecode(pattern))  # type: ignore[arg-type]
        if self._counts(text):
            self.note("patterns", f"{'**' if recursive else '*'} {text}")

    def _listed(self, path: object = None) -> None:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        place = os.path.normpath(_absolute(os.fsdecode(path) if path else "."))  # type: ignore[arg-type]
        if place not in self.folders and self._counts(place) and not self._is_import_system():
            self.folders[place] = None  # listing it is an event too
            self.note("folders", place, listing(place))

    def _is_import_system(self) -> bool:
        caller = sys._getframe(3).f_code.co_filename
        return caller.startswith((*_IMPORT_SYSTEM, f"{_LIBRARY}importlib/"))

    def _removed(self, path: object, folder: object = -1) -> None:
        name = os.fsdecode(path)  # type: ignore[arg-type]
        if isinstance(folder, int) and folder >= 0:
            name = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        place = _absolute(name)
        if place in self.files and place not in self.written:
            self.note("unseen", f"{place} was read and then removed")

    def _renamed(self, source: object, target: object, *_: object) -> None:
        self._removed(source)
        self._note_written(_absolute(os.fsdecode(target)), keeps=False)  # type: ignore[arg-type]

    def _looked_up(self, host: object, port: object, *_: object) -> None:
        if isinstance(host, (str, bytes)):
            self._hosts[str(port)] = os.fsdecode(host)

    def _connected(self, socket: Any, address: Any) -> None:
        if isinstance(address, tuple) and len(address) > 1:
            host = self._hosts.get(str(address[1]), address[0])
            self.note("connections", f"{host}:{address[1]}")
        elif socket.family == _UNIX_FAMILY and isinstance(address, (str, bytes)):
            place = os.fsdecode(address)
            if place.startswith(("/run/", "/var/run/")):  # others are of the step's own processes
                self.note("connections", place)

    # ---------------------------------------------------------------- other processes

    def _started_process(
        self, _program: object, words: object, folder: object, given: object
    ) -> None:
        self._note_process(words, inherits=given is None, folder=folder)

    def _spawned(self, program: object, words: Any, *_: object) -> None:
        self._note_process([program, *words], inherits=True)

    def _ran_command(self, command: object) -> None:
        self._note_process(command, inherits=True)

    def _note_process(self, words: Any, *, inherits: bool, folder: Any = None) -> None:
        """Note the files among the arguments of a program; it may read all variables."""
        is_one = isinstance(words, (str, bytes, os.PathLike))
        start = _absolute(os.fsdecode(folder)) if folder else os.getcwd()
        for each in [words] if is_one else words:
            for word in _words(os.fsdecode(each)):
                place = os.path.join(start, word)
                if os.path.isfile(place) and self._counts(place):
                    self.note("files", place)
        if inherits and self._asks():
            self.note("variables", ALL_VARIABLES)

    def _asks(self) -> bool:
        """Whether the project's own code is what called into Python's library just now."""
        return self.is_project(sys._getframe(1))

    def is_project(self, frame: FrameType | None) -> bool:
        """Whether the first frame that is not of Python's library is one of the project.

        Code that was made from a text counts with who runs it, and a thread of nothing but
        library code with the project, which has started it.
        """
        while frame is not None:
            file = frame.f_code.co_filename
            is_installed = any(part in file for part in _INSTALLED)
            if is_installed or not file.startswith(("<", _LIBRARY, __file__)):
                is_own = file.startswith(self.roots) and not file.startswith(_RUNTIME)
                return is_own and not is_installed
            frame = frame.f_back
        return True


class _ObservedEnvironment(os._Environ):  # type: ignore[type-arg]
    """``os.environ`` that tells an observer what the project's code reads."""

    def __getitem__(self, name: object) -> object:
        _note_variable(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[object]:
        _note_variable(ALL_VARIABLES)
        return super().__iter__()

    def __repr__(self) -> str:
        _note_variable(ALL_VARIABLES)
        return super().__repr__()


def _note_variable(name: object) -> None:
    observer = _current.observer
    if observer is None or not observer.is_on:
        return
    text = os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
    known = observer.variables
    if (
        text
        and not (text in known or ALL_VARIABLES in known)
        and (observer.is_project(sys._getframe(2)))
    ):
        observer.note("variables", text)


class _Current:
    """The observer of this process, which the environment tells what is read."""

    __slots__ = ("observer",)

    def __init__(self) -> None:
        self.observer: Observer | None = None


_current = _Current()
_LIBRARY = os.path.dirname(os.__file__) + "/"
_RUNTIME = os.path.dirname(__file__) + "/"
_PYTHON = (_LIBRARY, sys.base_prefix.rstrip("/") + "/lib/")


def _watch_environment(observer: Observer) -> None:
    _current.observer = observer
    for environment in (os.environ, getattr(os, "environb", os.environ)):
        environment.__class__ = _ObservedEnvironment


def _is_watched() -> bool:
    return isinstance(os.environ, _ObservedEnvironment)


def variables_of(name: str, environment: dict[str, str]) -> list[str]:
    """Return the variables that a name in ``Observer.variables`` stands for, sorted."""
    if name != ALL_VARIABLES:
        return [name]
    return sorted(
        each
        for each in environment
        if each not in _VOLATILE and not each.startswith(_VOLATILE_PREFIXES)
    )


def _is_of_runtime(frame: FrameType) -> bool:
    """Whether it is Levada that imports: the step's module, or the class of an input."""
    if frame.f_back is not None and frame.f_code.co_filename.endswith(_IMPORTING_BY_NAME):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")).startswith("levada.")


def _is_shown(frame: FrameType | None) -> bool:
    """Whether a source is opened to show its lines, in a traceback or a warning."""
    while frame is not None and frame.f_code.co_filename.startswith(("<", _LIBRARY)):
        if frame.f_code.co_filename == f"{_LIBRARY}linecache.py":
            return True
        frame = frame.f_back
    return False


def listing(place: str) -> str | None:
    """Return the digest of the names in a folder, None if it is not there."""
    try:
        names = [name for name in os.listdir(place) if name not in _IGNORED_NAMES]
    except OSError:
        return None
    return digest_of("\0".join(sorted(names)).encode("utf-8", "surrogateescape"))


def _source_of(path: str) -> str:
    """Return the source of a file of bytecode; a source is its own."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == "__pycache__":
        return os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")
    return path.removesuffix("c") if path.endswith(".pyc") else path


def _absolute(path: str) -> str:
    return path if path[:1] == "/" else os.path.join(os.getcwd(), path)


def _own_prefix() -> list[str]:
    """Return the folder of a virtual environment, which may be one of the project's."""
    return [f"{sys.prefix}/"] if sys.prefix != sys.base_prefix else []


def _words(text: str) -> list[str]:
    """Return an argument and, of an option or a command line, its parts."""
    return [text, *(word.strip("'\"") for word in text.translate(_SHELL).split())]
