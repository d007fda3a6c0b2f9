"""`ramslot stream` and `ramslot proxy`: migration streams in files and on their way."""
