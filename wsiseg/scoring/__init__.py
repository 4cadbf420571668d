"""A model against labelled slides and regions, by the plan and the kernels of a prediction; stores compared."""
