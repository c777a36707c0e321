"""The JupyterHub service: results for students, pages for instructors and organizers, and the Hub they live on."""
