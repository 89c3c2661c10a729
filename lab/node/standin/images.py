"""Images that are given to the node as files, since it can fetch none."""

import subprocess
from pathlib import Path

from standin import log, paths
from standin.processes import Failed

# One file per archive that was read, so that a node that starts again does not read hundreds of megabytes again.
MARKS = paths.AGENT / "imported"


def load() -> None:
    """Hand each archive of `docker save` in k3s's folder to containerd, unless this very one was handed over before."""
    MARKS.mkdir(parents=True, exist_ok=True)
    for archive in sorted(paths.IMAGES.glob("*.tar")):
        mark = _mark(archive)
        if mark.exists():
            continue
        log.info(f"Importing images from {archive}")
        done = subprocess.run(["ctr", "images", "import", str(archive)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"containerd does not take {archive}: {done.stderr.strip()}")
        mark.touch()
        log.info(f"Imported images from {archive}")


def _mark(archive: Path) -> Path:
    state = archive.stat()
    return MARKS / f"{archive.name}.{state.st_size}.{state.st_mtime_ns}"
