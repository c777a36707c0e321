"""Jupyter Server, for everybody: answers its own questions, may be framed by itself, stops soon, asks no network."""

c = get_config()  # noqa: F821 - Jupyter's own

c.ServerApp.answer_yes = True
# Formgrader is an iframe inside Lab; the Hub's default forbids every frame.
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'self'"}}
c.KernelManager.shutdown_wait_time = 2.0
c.LabApp.extension_manager = "readonly"
