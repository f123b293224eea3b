"""How each shipped model was made: the trainer, the losses, the recipes, the runs."""
