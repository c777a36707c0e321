"""One module per assignment: `check(stdout)` asserts that the lesson's experiments show what its prose says of them."""
