import torch

from vipe.networks.residual import ResidualBlock, ResidualMLP, initialize


def test_a_block_adds_two_layers_to_its_input(generator):
    block = ResidualBlock(6, dropout=0.5).eval()
    x = torch.randn(4, 6, generator=generator)
    linear, norm, linear2, norm2 = (block.layers[i] for i in (0, 1, 4, 5))
    slow = x + norm2(linear2(norm(linear(x)).relu())).relu()
    torch.testing.assert_close(block(x), slow)


def test_width_blocks_and_dropout_come_from_the_arguments():
    net = ResidualMLP(5, 3, width=16, blocks=3, dropout=0.25)
    assert sum(isinstance(part, ResidualBlock) for part in net.modules()) == 3
    assert {part.p for part in net.modules() if isinstance(part, torch.nn.Dropout)} == {0.25}
    assert sum(isinstance(part, torch.nn.Linear) for part in net.modules()) == 1 + 2 * 3 + 1


def test_initial_weights_have_hes_spread_and_the_outputs_a_tenth_of_it():
    net = ResidualMLP(400, 300, width=500, blocks=1, dropout=0.0)
    initialize(net, torch.Generator().manual_seed(0))
    first, last = net.layers[0].weight, net.output.weight
    assert abs(first.std() - (2 / 400) ** 0.5) < 1e-3
    assert abs(last.std() - 0.1 * (2 / 500) ** 0.5) < 1e-4
    assert all(part.bias.abs().max() == 0 for part in net.modules() if isinstance(part, torch.nn.Linear))
