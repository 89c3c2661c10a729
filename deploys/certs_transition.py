"""Changes the root of the mesh, phase by phase: `--data to=...` begins a change; else the one under way goes on.

`--data mode=restart` or `mode=patient` says how proxies follow that learn a new root only with their next certificate;
`--data waive=NAMESPACE/POD --data reason=...` names those that are not waited for.
"""

from meshwright.certs import together
from meshwright.deploy import run

steps = [together.transition]

run(steps)
