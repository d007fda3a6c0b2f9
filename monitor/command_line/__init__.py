"""The command line: its options, what each means, and the settings that all of them come to."""
