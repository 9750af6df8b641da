"""Metering: what a request may cost, does cost, and did cost.

Asked of the ledger: operations -> writer (or the journal, when there is no database) -> ledger ->
holding, ending, administration, over the books of one transaction. Read from it: usage, spending,
records, register. Beside both: prices, and recovery.
"""
