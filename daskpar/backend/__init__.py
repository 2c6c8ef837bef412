"""The ground floor: which array module a value belongs to, and random numbers that any cut can draw."""
