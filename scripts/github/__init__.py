"""A repository on GitHub: its settings, its set-up, and whether its tokens are trusted."""
