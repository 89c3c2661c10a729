"""The addons of a mesh: which there are, applying them, asking them, and exposing them on domains."""
