"""Transcripts: what a student chose to show in, a signed statement that a stranger can check out.

How it works. A statement is JSON text, signed as it stands (Ed25519); nobody need trust our page to check it, only the
public key. Its address is the number of the event that issued it and a secret of 128 bits: nothing of the student can be
read off it, and it cannot be guessed. The event holds no word of the statement. The text lies beside the log and goes when
the holder withdraws it or is erased; then the address says "withdrawn" and nothing else.

What a statement trusts: the ledger as of its event. What happens later to the same attempts (a regrade) is shown beside it.
What it does not show: later attempts, and whatever else the holder did not choose.
"""
