"""What people look at: curves of a run, pictures of a step's graph."""
