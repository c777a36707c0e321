"""Prometheus metrics of the exchange and the graders. Labels are lanes, assignments, routes and builds: never a person."""
