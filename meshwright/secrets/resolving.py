"""A reference into what it stands for: one table of ways, and one sentence for each way in which it can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from meshwright.environment import Environment
from meshwright.environment.problems import Path, dotted, is_private
from meshwright.errors import BadInput, MeshwrightError
from meshwright.project import Project
from meshwright.secrets import age, documents, files, sops, vault

if TYPE_CHECKING:
    # The models of all objects take a while to import; whoever has a reference has paid for them.
    from meshwright.environment.mesh.reference import Reference

__all__ = ["Resolver", "references"]


def _file(project: Project, reference: Reference) -> bytes:
    return files.read(project, str(reference.file))


def _age(project: Project, reference: Reference) -> bytes:
    return age.decrypted(project, str(reference.age), reference.identity)


def _sops(project: Project, reference: Reference) -> bytes | documents.Document:
    return sops.decrypted(project, str(reference.sops), whole=reference.key is None)


def _vault(_project: Project, reference: Reference) -> documents.Document:
    return vault.read(str(reference.vault))


def _env(_project: Project, reference: Reference) -> bytes:
    return files.variable(str(reference.env))


_WAYS: dict[str, Callable[[Project, Reference], bytes | documents.Document]] = {
    "file": _file,
    "age": _age,
    "sops": _sops,
    "vault": _vault,
    "env": _env,
}


class Resolver:
    """Reads secrets for one plan. A document that several references name is read once.

    What was read lives as long as this object; it has no useful `repr`, on purpose.
    """

    def __init__(self, project: Project, env: Environment) -> None:
        self._project = project
        self._env = env
        self._read: dict[tuple[str | None, ...], bytes | documents.Document] = {}

    def resolve(self, path: Path, reference: Reference) -> bytes:
        """What `reference`, which stands at `path` of the values, stands for.

        Raises, each with the place of the reference and never with what was read: BadInput, there is no such thing, or
        it is not what it should be; Forbidden and Unreachable, of Vault; MeshwrightError, it cannot be decrypted here.
        """
        try:
            found = self._found(reference)
        except MeshwrightError as error:
            sentence = f"{self._env.where(*path)}: {dotted(path)}: {error.message}"
            raise type(error)(sentence, hint=error.hint) from None
        return found

    def _found(self, reference: Reference) -> bytes:
        word = reference.word
        # With or without a key, a document of sops is another output.
        source = (word, getattr(reference, word), reference.identity, str(reference.key is None))
        if source not in self._read:
            self._read[source] = _WAYS[word](self._project, reference)
        read = self._read[source]
        found = read if isinstance(read, bytes) else documents.value(read, reference.key, reference.shown)
        if not found:
            raise BadInput(f"{reference.shown} is empty")
        if word == "env" and is_private(found.decode(errors="replace")):
            raise BadInput(
                f"the environment variable {reference.env} has a private key in it, and every process that is started "
                "gets a copy of that",
                hint="Keep it in a file (file, age, sops) or in Vault",
            )
        return found


def references(env: Environment) -> Iterator[tuple[Path, Reference]]:
    """Every reference of an environment with its path in the values. Nothing is read."""
    if type(env) is Environment:
        return  # none of its values may be one
    from meshwright.environment.mesh.reference import Reference
    from meshwright.environment.mesh.resources import MeshEnvironment
    from meshwright.environment.mesh.walking import parts

    assert isinstance(env, MeshEnvironment)
    for path, part in parts(env.resources, ("resources",)):
        if isinstance(part, Reference):
            yield path, part
