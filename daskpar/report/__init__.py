"""Reports of a run: curves, profiles, comparisons, pictures of task graphs, and model summaries."""
