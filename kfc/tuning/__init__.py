"""A spec with a space -> ranked trials, and a winner that `kfc fit` repeats."""
