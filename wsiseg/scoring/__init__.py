"""A model against labelled slides and regions, by the plan and kernels of a prediction; stores compared."""
