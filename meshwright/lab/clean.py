"""`make clean`: ends the lab's own engine and removes what was built in this project.

What a person or another cluster may still need stays: .meshwright/ENV has the records, kubeconfigs and identities of
environments, and clusters in another engine are none of the lab's (`meshwright destroy ENV` deletes those).
"""

from __future__ import annotations

import os
import shutil
import sys

from meshwright.errors import MeshwrightError
from meshwright.lab import dockerd
from meshwright.project import Project
from meshwright.target import Local

__all__ = ["clean", "main"]

# Below .meshwright: engine, built (programs, root file system, images), tools, samples.
_BUILT = ("engine", "built", "bin", "istio")


def clean(target: Local) -> None:
    """Removes it all; nothing where nothing is. Raises MeshwrightError: the engine is another user's, or stays."""
    own = dockerd.places(target.project)
    if dockerd.process(own) is not None or own.data.exists():
        if os.geteuid() != 0:
            raise MeshwrightError("the lab's engine and its data belong to root", hint="Run `make clean` as root")
        target.say("ending the lab's engine and removing its clusters and images")
        dockerd.remove(target)
    for name in _BUILT:
        folder = target.project.state / name
        if folder.exists():
            target.say(f"removing {folder}")
            shutil.rmtree(folder)


def main() -> int:
    """The exit code."""
    try:
        clean(Local(Project.find(), lambda sentence: print(sentence, flush=True)))
    except MeshwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        print(f"error: cannot remove {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
