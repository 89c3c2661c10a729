"""The logs of a mesh's proxies: many at once, in the order of their times, in words."""
