"""Short runnable programs, one purpose each."""
