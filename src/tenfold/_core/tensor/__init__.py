"""What a user does with a tensor: methods.py hangs everything on the bare handle; printing.py shows it."""
