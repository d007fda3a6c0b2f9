"""How people and programs talk to a virtual machine: QMP, HMP, scripts, the console, the command line."""
