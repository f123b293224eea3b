"""How good is it? Distances and their floors, judges of digits and scenes, measured tables."""
