"""A program of cells in, values out; nothing that a student writes is trusted. See README.md beside this file."""
