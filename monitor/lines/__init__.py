"""What a person may write in a line, at the console and in scripts, beyond what HMP has. Sockets know none of it.

`session` takes a line from its variables and aliases to what it prints; `commands` has the table of commands that
belong to the prompt and not to the machine. Nobody here knows a terminal.
"""
