"""Scripted use: lines from `-c`, a file or a pipe, run one after another; what is recorded, and run again."""
