"""Metering: what a request may cost, does cost, and did cost.

Asked of the ledger: operations -> writer (or the journal, when there is no database) -> session ->
ledger -> holding, ending, administration, over the books of one transaction. Read from it: usage,
spent, spending, records, register, searching. Beside both: prices, and recovery.
"""
