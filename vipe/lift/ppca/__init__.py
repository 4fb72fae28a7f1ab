"""A prior of poses: mixtures of probabilistic PCA over poses that all face the same way (Tome et al. 2017)."""

from vipe.lift.ppca.prior.alignment import Alignment, AlignmentConfig, align_poses
from vipe.lift.ppca.prior.gaussian import PPCA
from vipe.lift.ppca.prior.mixture import MixtureOfPPCA
from vipe.lift.ppca.prior.selection import MixtureChoice, choose_mixture

__all__ = ["PPCA", "Alignment", "AlignmentConfig", "MixtureChoice", "MixtureOfPPCA", "align_poses", "choose_mixture"]
