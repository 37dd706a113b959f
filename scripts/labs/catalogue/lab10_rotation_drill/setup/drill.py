"""Revoke what the reports use, and show how long each consumer does not work."""

from scripts.labs.catalogue.lab10_rotation_drill.drill import main

main()
