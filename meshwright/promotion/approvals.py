"""Approvals: signatures over the digest of a release, made by `ssh-keygen -Y sign` with a person's own key.

What is signed is the digest and a line end, in a namespace that names the environment: an approval of staging is none
of prod. Who may approve is in a file of allowed signers, as ssh-keygen(1) describes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from meshwright import process
from meshwright.errors import BadInput, MeshwrightError, ProcessError, Refused
from meshwright.release import short

__all__ = ["approvers", "namespace", "others", "signing"]


def namespace(environment: str) -> str:
    """The namespace of signatures for promotions to an environment."""
    return f"meshwright.promote.{environment}"


def signing(environment: str, digest: str) -> str:
    """The command line by which somebody approves a release."""
    return f"echo {digest} | ssh-keygen -Y sign -f YOUR_KEY -n {namespace(environment)} - > approval.sig"


def approvers(root: Path, signers: str, environment: str, digest: str, files: Sequence[str]) -> list[str]:
    """Who has signed the digest, each once, by the signatures in `files`; paths are relative to the project folder.

    Raises BadInput: a file that is not there or is no signature, or no file of signers. Refused: a signature of
    somebody who may not approve, or of something else.
    """
    allowed = root / Path(signers).expanduser()
    if not allowed.is_file():
        raise BadInput(
            f"promotion.approvals.signers is {signers}, which is not there",
            hint="It has a line for each person who may approve: ADDRESS KEY (ALLOWED SIGNERS of ssh-keygen(1))",
        )
    found = [_signer(allowed, environment, digest, root / Path(file).expanduser(), file) for file in files]
    return list(dict.fromkeys(found))


def _signer(allowed: Path, environment: str, digest: str, file: Path, name: str) -> str:
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise BadInput(f"--approval {name}: {error.strerror}") from None
    if "BEGIN SSH SIGNATURE" not in text:
        raise BadInput(f"{name} is no signature of ssh-keygen", hint=f"Approve with: {signing(environment, digest)}")
    who = _ssh("find-principals", "-s", str(file), "-f", str(allowed))
    if who.code or not who.text.strip():
        raise Refused(
            f"{name} is signed by a key that is not among the allowed signers of {environment}",
            hint="Only somebody whose key is in promotion.approvals.signers can approve",
        )
    for principal in who.text.split():
        said = _ssh(
            *("verify", "-f", str(allowed), "-I", principal, "-n", namespace(environment), "-s", str(file)),
            input=f"{digest}\n".encode(),
        )
        if said.code == 0:
            return principal
    raise Refused(
        f"{name} is no approval of {short(digest)} for {environment}: it signs something else",
        hint=f"Approve with: {signing(environment, digest)}",
    )


def _ssh(*words: str, input: bytes | None = None) -> process.Completed:  # noqa: A002
    try:
        return process.run(["ssh-keygen", "-Y", *words], input=input, timeout=20, ok=None)
    except ProcessError as error:
        raise MeshwrightError(
            f"approvals cannot be looked at: {error.message}", hint="Install OpenSSH 8.2 or newer"
        ) from None


def others(found: Collection[str], wrote: Collection[str]) -> list[str]:
    """Those who approved and did not write the change."""
    return [who for who in found if who.lower() not in wrote]
