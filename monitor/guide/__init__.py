"""`ramslot guide`: the reference, a page a topic, the same that the README leads to."""
