"""Decides which tokens a statement lets in: automata over claims and subjects."""
