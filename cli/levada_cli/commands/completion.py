"""``levada completion``."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from . import console


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@console.examples(
    'eval "$(levada completion bash)"              # in ~/.bashrc',
    'eval "$(levada completion zsh)"               # in ~/.zshrc',
    "levada completion fish | source               # in ~/.config/fish/config.fish",
)
def command(shell: str) -> int:
    """Print a script for shell completion.

    It completes commands, options, targets and the ids of diagnostics.
    """
    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = click.get_current_context().find_root().command
    script = complete(root, {}, "levada", "_LEVADA_COMPLETE")
    sys.stdout.write(script.source_template % script.source_vars())
    return 0
