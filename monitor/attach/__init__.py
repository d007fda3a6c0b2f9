"""`ramslot attach`: a QEMU that runs already, at our console and in our views.

What its answers say is decided without sockets in `tree_text`, `table_text`, `access` and `schema`; `seen` makes of
them what our own commands ask; `client` talks, `views` knows which questions a view needs, `attached` joins them.
"""
