"""The labs, a folder each: README.md, lab.toml, setup/, attack.py, fix/ and check.py."""
