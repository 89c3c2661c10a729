"""`meshwright completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from meshwright.errors import Exit

__all__ = ["command"]

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    help="Print the script that completes commands, environments and deploys in SHELL.",
    epilog='Example: eval "$(meshwright completion bash)"',
)
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Prints click's own script for the shell."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "meshwright", "_MESHWRIGHT_COMPLETE").source())
    return Exit.OK
