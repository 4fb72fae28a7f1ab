"""Small files in the published layout."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, max_pool2d

from vipe.errors import ReadError
from vipe.lift.stages import PriorConfig, ProjectedBeliefs
from vipe.lift.stages.cpm import CPM_JOINTS, center_map, cpm_image, load_cpm, published_names

WIDTH, FEATURES, MAPS = 3, 4, 15


def published(stages=3, generator=None):
    """Tensors as a published network has them, but few."""
    generator = generator or torch.Generator().manual_seed(0)
    tensors, inside = {}, 3
    for name in published_names(stages):
        first, last = name == "conv5_1_CPM", name == "conv5_2_CPM" or name.startswith("Mconv7_")
        if first:
            inside = FEATURES
        if name.startswith("Mconv1_"):
            inside = MAPS + FEATURES + 1
        outside = MAPS if last else FEATURES if name == "conv4_7_CPM" else WIDTH
        kernel = 1 if name.startswith(("conv5_", "Mconv6_", "Mconv7_")) else 7 if name.startswith("Mconv") else 3
        tensors[f"{name}.weight"] = torch.randn(outside, inside, kernel, kernel, generator=generator) / (3 * kernel)
        tensors[f"{name}.bias"] = torch.randn(outside, generator=generator)
        inside = outside
    return tensors


def slowly(tensors, images, stages):
    """Slow twin: layer by layer."""

    def layer(name, inside, relu=True):
        weight = tensors[f"{name}.weight"]
        made = conv2d(inside, weight, tensors[f"{name}.bias"], padding=weight.shape[2] // 2)
        return made.relu() if relu else made

    inside = images
    for block, count in ((1, 2), (2, 2), (3, 4)):
        for number in range(1, count + 1):
            inside = layer(f"conv{block}_{number}", inside)
        inside = max_pool2d(inside, 2)
    for name in ("conv4_1", "conv4_2", *(f"conv4_{number}_CPM" for number in range(3, 8))):
        inside = layer(name, inside)
    features = inside
    maps = [layer("conv5_2_CPM", layer("conv5_1_CPM", features), relu=False)]
    center = center_map((features.shape[3], features.shape[2])).expand(len(images), 1, -1, -1)
    for stage in range(2, stages + 1):
        inside = torch.cat([maps[-1], features, center], 1)
        for number in range(1, 7):
            inside = layer(f"Mconv{number}_stage{stage}", inside)
        maps.append(layer(f"Mconv7_stage{stage}", inside, relu=False))
    return torch.stack(maps, 1)


@pytest.fixture
def images(generator):
    return cpm_image(torch.randint(0, 256, (2, 48, 64, 3), generator=generator, dtype=torch.uint8))


@pytest.fixture
def lifted(ppca):
    return ProjectedBeliefs(ppca.layer(), CPM_JOINTS, PriorConfig())


@pytest.mark.parametrize("kind", ["safetensors", "pt", "with a prefix"])
def test_weights_of_the_published_layout_do_what_they_did(images, kind, tmp_path):
    tensors, file = published(), tmp_path / "cpm.safetensors"
    if kind == "safetensors":
        save_file(tensors, file)
    else:
        file = tmp_path / "cpm.pth"
        prefix = "module." if kind == "with a prefix" else ""
        torch.save({prefix + name: tensor for name, tensor in tensors.items()}, file)
    network = load_cpm(file)
    assert not network.training
    with torch.no_grad():
        torch.testing.assert_close(network(images).fused, slowly(tensors, images, 3))


def test_the_prior_is_fused_into_each_stage_and_leaves_the_background(lifted, images, tmp_path):
    save_file(published(), tmp_path / "cpm.safetensors")
    found = load_cpm(tmp_path / "cpm.safetensors", lifted, weight=0.25)(images)
    assert found.fused.shape == (2, 3, 15, 6, 8)
    expected = 0.25 * found.own[:, :, :14] + 0.75 * found.projected
    torch.testing.assert_close(found.fused[:, :, :14], expected)
    torch.testing.assert_close(found.fused[:, :, 14], found.own[:, :, 14])


def test_a_file_of_six_stages_or_of_one_gives_as_many(tmp_path):
    for stages in (1, 6):
        save_file(published(stages), tmp_path / "cpm.safetensors")
        assert len(load_cpm(tmp_path / "cpm.safetensors").stages) == stages


def test_loading_draws_from_no_generator(tmp_path):
    save_file(published(), tmp_path / "cpm.safetensors")
    before = torch.get_rng_state()
    load_cpm(tmp_path / "cpm.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_published_six_stages_have_fifty_two_convolutions():
    names = published_names()
    assert len(names) == len(set(names)) == 8 + 7 + 2 + 5 * 7
    assert names[:2] == ("conv1_1", "conv1_2")


def test_the_centre_is_the_middle_of_the_picture():
    one = center_map((7, 5))
    assert one.shape == (1, 1, 5, 7)
    assert one.argmax() == 2 * 7 + 3
    assert one[0, 0, 2, 4] == pytest.approx(torch.tensor(-0.5 * (8 / 21) ** 2).exp())


def broken(change):
    def write(file):
        tensors = published()
        change(tensors)
        save_file(tensors, file)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            broken(lambda t: t.pop("Mconv3_stage2.bias")),
            r"lacks 'Mconv3_stage2.bias' \(1 in all\) of a pose machine of 3",
        ),
        (broken(lambda t: t.update(extra=torch.zeros(1))), r"has 'extra' \(1 in all\), no tensor of a pose machine"),
        (
            broken(lambda t: t.update({"Mconv1_stage2.weight": torch.zeros(3, 19, 7, 7)})),
            r"Mconv1_stage2 has weight \(3, 19, 7, 7\) and bias \(3,\), expected \(n, 20, k, k\)",
        ),
        (broken(lambda t: t.update({"conv2_1.bias": torch.zeros(9)})), "conv2_1 has weight"),
        (broken(lambda t: t["conv3_1.weight"].fill_(torch.nan)), "conv3_1 has values that are not finite"),
        (
            broken(
                lambda t: t.update(
                    {"Mconv7_stage3.weight": torch.zeros(9, 3, 1, 1), "Mconv7_stage3.bias": torch.zeros(9)}
                )
            ),
            "Mconv7_stage3 gives 9 maps, the first stage 15",
        ),
        (lambda file: save_file({"weight": torch.zeros(2)}, file), "lacks 'conv1_1.weight'"),
        (lambda file: file.write_bytes(b"no tensors"), "cannot be read as safetensors"),
        (lambda file: None, "no such file"),
    ],
    ids=["missing", "unknown", "shape", "bias", "not finite", "maps", "another network", "no tensors", "no file"],
)
def test_another_layout_is_refused_in_one_line(write, message, tmp_path):
    file = tmp_path / "cpm.safetensors"
    write(file)
    with pytest.raises(ReadError, match=message) as caught:
        load_cpm(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(file))


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code of the file ran",))


@pytest.mark.parametrize("content", [Evil(), [1, 2], {"conv1_1.weight": "text"}], ids=["code", "list", "text"])
def test_a_file_of_torch_that_is_no_state_dict_is_refused_and_runs_nothing(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ReadError, match=r"a\.pt: (cannot be read|holds a)") as caught:
        load_cpm(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


def test_a_file_of_torch_that_is_cut_is_refused_in_one_line(tmp_path):
    torch.save(published(), tmp_path / "b.pt")
    (tmp_path / "b.pt").write_bytes((tmp_path / "b.pt").read_bytes()[:500])
    with pytest.raises(ReadError, match=r"b\.pt: cannot be read") as caught:
        load_cpm(tmp_path / "b.pt")
    assert "\n" not in str(caught.value)


def test_fewer_maps_than_the_prior_has_joints_are_refused(ppca, tmp_path):
    from vipe.skeletons.working import H36M17

    save_file(published(), tmp_path / "cpm.safetensors")
    with pytest.raises(ReadError, match="has 15 maps, the prior wants one for each of 17 joints"):
        load_cpm(tmp_path / "cpm.safetensors", ProjectedBeliefs(ppca.layer(), H36M17.joints))
