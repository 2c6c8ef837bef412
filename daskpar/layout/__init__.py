"""Layouts: the cuts of a training step, and the plan of operations that follows from them."""
