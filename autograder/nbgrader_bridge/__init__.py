"""The only room that imports nbgrader: student versions, course folder, gradebook, preprocessors."""
