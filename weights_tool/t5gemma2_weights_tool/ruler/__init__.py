"""`weights_tool ruler`: what a model still finds in long inputs, by the task families of RULER (Hsieh et al. 2024)."""
