"""The engine of the bootcamp: build, grade, record, estimate, show. See README.md beside this file for the map."""
