"""Real browsers against a real JupyterHub."""
