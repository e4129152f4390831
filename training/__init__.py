"""How the bundled detector is made: data, rendering, training, export and card."""
