"""What services say in words of their own, and what it means."""
