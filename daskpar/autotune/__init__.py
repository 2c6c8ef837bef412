"""What a layout costs, before anything runs."""
