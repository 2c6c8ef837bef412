"""The cost of a layout, before anything runs."""
