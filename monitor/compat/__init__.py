"""What `ramslot compat` is made of: readers of the sides, changes that are tried, and how it is told."""
