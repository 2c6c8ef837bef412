"""The files of a run that people look at: curves, and pictures of a step's graph."""
