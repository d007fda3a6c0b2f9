"""What is installed beside the program: its manual page, and completion for shells, of the tables that it runs on."""
