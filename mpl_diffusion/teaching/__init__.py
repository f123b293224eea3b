"""What a reader sees and touches: figures, widgets, exercises, exam cards."""
