"""A module beside a user's file."""

THREE = 3
