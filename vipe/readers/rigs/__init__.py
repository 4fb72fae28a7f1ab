"""Hierarchies of joints and how they turn, as clips: BVH, ASF/AMC, glTF; what their joints are."""
