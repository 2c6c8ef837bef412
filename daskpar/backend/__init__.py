"""Lowest layer of daskpar: array modules, random streams, BLAS threads, barriers, files and kernels."""
