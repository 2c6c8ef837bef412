"""Short runnable programs, one purpose each; README.md lists them."""
