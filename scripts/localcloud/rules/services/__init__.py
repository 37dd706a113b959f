"""Rules of single services, a file each."""
