"""What a reader sees and touches: figures, widgets, exercises."""
