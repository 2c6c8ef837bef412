"""Task graphs: the plan of a step, stamped into Dask tasks."""
