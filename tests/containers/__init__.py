"""The composed stack, and a machine under systemd, in real containers where podman is and no registry: `make test-containers`."""
