"""One file for each page: its questions, its address, and what of it is swapped in place."""
