"""Do keypoints lie at an archive's joints, or where their convention says? People of one file share that (numpy)."""

__all__ = ["ALONE", "shares_at_the_joints"]

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import expit, logit

from vipe.arrays import Array

_AT_THE_JOINTS = 0.2
"""Of five archives one holds a detector's own marks, the others joint centres of motion capture."""

_OTHERWISE = 0.03
"""Share of people whose best candidates are of the other kind: archives may hold both, and wrong poses may fit."""

_LIKELIER = 1.4
"""Nats less that each person says for the joints: wide bones make marks unlikely. Of `val` views (60 each) the joints
are likelier by -0.5 on average where COCO's marks were drawn, by -0.8 if bones were too, and by 4.0 at the joints."""

ALONE = (1 - _AT_THE_JOINTS) * _OTHERWISE + _AT_THE_JOINTS * (1 - _OTHERWISE)
"""How likely it is of a person alone."""


def shares_at_the_joints(gain: Float[Array, " Q"]) -> Float64[Array, " Q"]:
    """How likely it is of each person that their keypoints lie at the archive's joints, by what the others show.

    People who are searched for together come from one detector and one archive, which is of one of two kinds. Of each
    kind nearly all people are alike. So the kind follows from the product of what people show, and each person gets the
    mean over both kinds, given the others. What each person says for the joints counts 1.4 nats less.

    Args:
        gain: By how many nats the keypoints of each person are likelier at the joints.

    Returns:
        Probabilities before the person's own keypoints; `ALONE` for one person.
    """
    usual, otherwise = np.log1p(-_OTHERWISE), np.log(_OTHERWISE)
    gain = gain - _LIKELIER
    says = np.logaddexp(otherwise, usual + gain) - np.logaddexp(usual, otherwise + gain)
    kind = expit(logit(_AT_THE_JOINTS) + says.sum() - says)
    return np.asarray(_OTHERWISE + (1 - 2 * _OTHERWISE) * kind)
