"""Choosing a layout: measure the tasks of a step, predict its time under each layout, compare."""
