"""The folders that DAG files and the plugin are deployed to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from levada_compiler import output_files
from levada_compiler.client import Change, ClientError, text_option
from levada_compiler.origin import conflict

from . import deployed, library, record_link, worktree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from levada_compiler.client import Compiled


class DagFolder:
    """Where Airflow finds its DAG files (`dags_folder`), and its plugins (`plugins_folder`)."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        self._options = options
        self._root = root

    @property
    def path(self) -> str | None:
        """The folder of DAG files, if the target has one."""
        return self._path("dags_folder")

    def _path(self, option: str) -> str | None:
        folder = text_option(self._options, option)
        return str(Path(self._root, folder).expanduser()) if folder else None

    def deploy(
        self, compiled: Compiled, before_change: Callable[[], None], *, dry_run: bool
    ) -> list[Change]:
        """Copy the files there: each is there in one move, or none is.

        `before_change` is called before what Airflow reads changes. Raises ClientError for a
        missing folder and for files that are not Levada's.
        """
        folder = self._existing()
        contents = {path: text.encode() for path, text in compiled.files.items()}
        before = output_files.read(folder, contents)
        for path, old in before.items():
            there = "" if old is None else old.decode("utf-8", "replace")
            if old is not None and deployed.source_of(there) is None:
                raise _not_ours(folder, path, "remove it, or give the pipeline another name")
            if others := conflict(self._root, there, compiled.files[path]):
                message = f"`{_shown(folder, path)}` was made from {others}"
                raise ClientError(message, "give one of them a name: `@pipeline(name=…)`")
        plugin = self._deploy_plugin(dry_run=dry_run)
        changed = any(before[path] != data for path, data in contents.items())
        if changed and not dry_run:
            before_change()
            output_files.write(folder, contents, before)
        changes = [_change(folder, path, before[path], data) for path, data in contents.items()]
        return [*plugin, *changes]

    def _deploy_plugin(self, *, dry_run: bool) -> list[Change]:
        """Write the plugin by which Airflow 2 shows the link to a record, where it is asked for."""
        if not self._path("plugins_folder"):
            return []
        folder = self._existing("plugins_folder", "where Airflow finds its plugins")
        contents = {record_link.FILE: record_link.SOURCE.encode()}
        before = output_files.read(folder, contents)
        old, new = before[record_link.FILE], contents[record_link.FILE]
        if old is not None and b"Made by Levada." not in old:
            raise _not_ours(folder, record_link.FILE, "remove it, or set no `plugins_folder`")
        if not dry_run:
            output_files.write(folder, contents, before)
        status = "new" if old is None else "unchanged" if old == new else "changed"
        note = "" if old == new else "Airflow 2 shows it when its web server starts again"
        return [Change(_shown(folder, record_link.FILE), status, note)]

    def next_step(self, compiled: Compiled) -> str:
        """In a checkout of a git repository the files have to be committed."""
        folder = output_files.display_path(self._existing())
        command = worktree.next_step(folder, compiled.files, compiled.pipeline)
        return f"an Airflow that reads this repository has it after: {command}" if command else ""

    def _existing(
        self, option: str = "dags_folder", what: str = "where Airflow finds its DAG files"
    ) -> str:
        folder = self._path(option)
        if folder is None:
            raise ClientError(
                f"the target has no `{option}`: {what}",
                "set it in [tool.levada.targets.airflow]; for a bundle that is a git repository, "
                "name a folder in a checkout of that",
            )
        if not Path(folder).is_dir():
            raise ClientError(
                f"there is no folder `{output_files.display_path(folder)}`",
                f"is `{option}` right, and the file system mounted?",
            )
        return folder


def _shown(folder: str, path: str) -> str:
    return output_files.display_path(str(Path(folder, path)))


def _not_ours(folder: str, path: str, way_out: str) -> ClientError:
    return ClientError(f"`{_shown(folder, path)}` is there, and was not made by Levada", way_out)


def _change(folder: str, path: str, before: bytes | None, now: bytes) -> Change:
    place = _shown(folder, path)
    if before is None:
        return Change(place, "new")
    if before == now:
        return Change(place, "unchanged")
    if path.startswith(library.PREFIX):  # its name says what is to be in it
        return Change(place, "changed", "what was there was edited")
    old, new = before.decode("utf-8", "replace"), now.decode("utf-8", "replace")
    words = deployed.difference(old, new) or "finds the project elsewhere"
    return Change(place, "changed", f"what was there {words}")
