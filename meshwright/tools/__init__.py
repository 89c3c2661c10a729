"""Tools: k3d, kubectl and istioctl, in the versions that an environment wants, on the target."""

from meshwright.tools.step import install, installed, path, samples, search_path

__all__ = ["install", "installed", "path", "samples", "search_path"]
