"""The cuts of a step: what a `Layout` may say, and the plan of a step that follows from it."""
