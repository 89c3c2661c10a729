"""The command `meshwright`. One module per command; each is imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from meshwright import __version__
from meshwright.cli.output import Output
from meshwright.cli.output import report as print_error  # `report` here is the module of that command
from meshwright.errors import Exit, MeshwrightError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "plan": "Show what a deploy would change.",
    "apply": "Show the plan, ask, and do it.",
    "validate": "Find what is wrong in an environment's objects before anything is sent.",
    "check": "Find out whether everything an environment needs holds.",
    "drift": "Show what was changed from outside, and by whom.",
    "rollback": "Go back to the objects of an earlier apply.",
    "promote": "Take what works in one environment over into the next.",
    "environments": "Show all environments: release, drift, windows, certificates.",
    "history": "Show what changed an environment: who, when, why, and how it ended.",
    "report": "Write one page about environments: state, runs, certificates, windows, mesh, drift.",
    "access": "Print the roles of an environment, or ask which of their rights you have.",
    "windows": "Show when an environment may be changed.",
    "schedule": "Show, install or run the jobs of an environment.",
    "ingress": "Print how to reach the ingress gateway, as shell exports.",
    "certs": "Look at the certificates of a mesh: who signs, how long they last, who trusts what.",
    "accesslog": "Switch access logs of proxies on and off.",
    "logs": "Follow the logs of many proxies at once, in words.",
    "traffic": "Show what the Envoys of a workload count of their upstreams.",
    "dashboard": "Open addons on a port of this machine.",
    "env": "Show the values of an environment, or which cluster it means.",
    "kubeconfig": "Print the kubeconfig of an environment, or merge it into yours.",
    "destroy": "Delete the cluster of an environment.",
    "preflight": "Say what a bring-up needs and whether this machine has it.",
    "completion": "Print the completion script of a shell.",
}
"""The commands in the order of `--help`. The module of NAME is `meshwright.cli.NAME`, its command `command`."""

_GROUPS = frozenset({"certs", "env"})  # whose second word is a command too


class _ReaderLeft(Exception):
    """Whoever read our output has gone away (`| head`)."""


class _Commands(click.Group):
    """Imports a command's module when it is needed: `--help` and completion stay quick."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderLeft from None  # which click does not take for a failure

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"meshwright.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if error.ctx is not None and args and args[0] not in COMMANDS:
                raise click.UsageError(f"there is no command {args[0]!r}", ctx) from None
            raise

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: meshwright plan lab",
)
@click.version_option(__version__, message="meshwright %(version)s")
def root() -> None:
    """Bring Istio environments up, keep them true and maintain them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. Ends the process with a code of `meshwright.errors.Exit`."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Runs the command with `arguments` and gives its exit code. No traceback of an expected failure gets out."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    length = 2 if words and words[0] in _GROUPS else 1
    command = " ".join(words[:length]) if words and words[0] in COMMANDS else ""
    output = Output("--json" in arguments, command, words[length] if command and len(words) > length else None)
    try:
        result = root.main(arguments, prog_name="meshwright", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        output.human(error.format_message())
        return Exit.USAGE
    except click.UsageError as error:
        hint = f"{error.ctx.command_path} --help says more" if error.ctx else "meshwright --help says more"
        print_error(output, MeshwrightError(error.format_message().rstrip("."), hint=hint, exit_code=Exit.USAGE))
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        output.human("interrupted")
        return Exit.INTERRUPTED
    except MeshwrightError as error:
        print_error(output, error)
        return int(error.exit_code)
    except _ReaderLeft:
        # That is its good right. What is still to be written goes nowhere, or Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        from meshwright.defect import defect

        print_error(output, defect(error))
        return Exit.ERROR
    return int(result) if isinstance(result, int) else Exit.OK
