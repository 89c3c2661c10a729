"""The stand-in for k3s: what it reads (options), writes (certificates, config) and runs (server, agent)."""
