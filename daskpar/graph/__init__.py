"""Task graphs: the plan of a step stamped into tasks of Dask."""
