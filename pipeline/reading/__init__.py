"""From a source to raw rows: where files come from, and how they are written."""
