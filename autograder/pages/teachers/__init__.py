"""A survey and what the ledger says of it in; what instructors see out: health, exercises, who needs help, the roll, regrades."""
