"""The composed stack in real containers, where podman is and no registry: `make test-containers`."""
