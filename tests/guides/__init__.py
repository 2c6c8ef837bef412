"""What the tests know about guides: parts that are generated, and the blocks in them."""
