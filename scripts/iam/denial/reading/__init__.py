"""What a message or an event tells of a denial."""
