"""The lifters by their names: networks, presets, and how a folder becomes a lifter."""

__all__ = ["NETWORKS", "load_lifter"]

from pathlib import Path

from vipe import pretrained
from vipe.errors import ReadError
from vipe.lift.bone_flow import BoneFlow
from vipe.lift.cvae import CVAE
from vipe.lift.flow.network import Flow
from vipe.lift.lifter import SHELF, Lifter, TrainedLifter
from vipe.lift.mdn import MDN
from vipe.lift.network import LiftNetwork
from vipe.lift.ppca.lifter import PPCALifter
from vipe.lift.ppca.network import PPCANetwork
from vipe.lift.propose.network import ProPose
from vipe.lift.regression import Regression

NETWORKS: dict[str, type[LiftNetwork]] = {
    network.kind: network for network in (Regression, MDN, CVAE, Flow, ProPose, BoneFlow)
}
"""The network of each kind that is trained by gradient descent."""


def load_lifter(source: str | Path, *, device: str = "cpu") -> Lifter:
    """Load a lifter from its folder, or by the name of one that comes with the library.

    Raises:
        ReadError: If it does not exist, is broken, or is no lifter.
        VipeError: If the device cannot be used.
    """
    pretrained.check_device(device)
    trained = pretrained.load(source, shelf=SHELF)
    if trained.kind == PPCANetwork.kind:
        return PPCALifter.of(trained, PPCANetwork, device)
    if trained.kind not in NETWORKS:
        file = trained.where / "config.json"
        kinds = ", ".join(sorted([*NETWORKS, PPCANetwork.kind]))
        raise ReadError(f"{file}: is a {trained.kind!r}; lifters are {kinds}")
    return TrainedLifter.of(trained, NETWORKS[trained.kind], device)
