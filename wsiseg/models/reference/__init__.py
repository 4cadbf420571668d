"""The large networks that the ESPNet paper compares itself with; each module is imported only when named.

Backbones (`vgg`, `resnet`, `squeezenet`) carry the parameter names of the public torchvision state dicts, so
weights in that layout load into them, see `backbone_weights`. What the publications leave open, and where a
count differs from the paper's, is said in each module and in docs/models.md.
"""
