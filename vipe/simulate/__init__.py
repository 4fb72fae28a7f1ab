"""Simulated data: motion programs, camera rigs, photos and a keypoint detector."""

from vipe.simulate.detector import (
    GROUND_TRUTH,
    NOISE_003,
    NOISE_006,
    DetectorNoise,
    disturb,
    project_keypoints,
    simulate_keypoints,
)
from vipe.simulate.drawn_people import DrawConfig, DrawnPeople, draw_people
from vipe.simulate.rigs import CameraRig, View, Views, random_views

__all__ = [
    "GROUND_TRUTH",
    "NOISE_003",
    "NOISE_006",
    "CameraRig",
    "DetectorNoise",
    "DrawConfig",
    "DrawnPeople",
    "View",
    "Views",
    "disturb",
    "draw_people",
    "project_keypoints",
    "random_views",
    "simulate_keypoints",
]
