"""One contract for every engine: sparse layers are dense convolutions seen through their sites."""

import pytest
import torch
import torch.nn.functional as F

from worldloom.errors import InputError
from worldloom.ops import sparse
from worldloom.ops.sparse import KernelMaps, SparseTensor, Window, convolve

SHAPES = {1: (40,), 2: (12, 9), 3: (9, 8, 7), 4: (4, 5, 6, 4)}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def assert_near(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def layer(name, ndim):
    return getattr(sparse, f"{name}{ndim}d")


def torch_weight(weight, kernel, transposed=False):
    """[K, C_in, C_out] to torch's [C_out, C_in, *kernel], or [C_in, C_out, *kernel] of a transposed layer."""
    return weight.unflatten(0, kernel).permute(
        *((-2, -1) if transposed else (-1, -2)), *range(len(kernel))
    )  # fmt: skip


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (3, 2), (1, 1)])
def test_submanifold_is_dense_conv_on_its_sites(backend, device, voxels, shuffled, dense_conv, ndim, kernel, dilation):
    if ndim == 4 and kernel == 5:
        pytest.skip("625 offsets add nothing")
    dense, active = voxels(SHAPES[ndim], 3, batch_size=2)
    module = layer("SubMConv", ndim)(3, 5, kernel, dilation, backend=backend).to(device)
    out = module(shuffled(dense, active).to(device))
    if ndim < 4:
        weight = torch_weight(module.weight, module.kernel_size).cpu()
        expected = CONV[ndim](dense, weight, padding=dilation * (kernel // 2), dilation=dilation)
    else:
        expected = dense_conv(dense, module.weight.cpu(), module.window)
    expected = (expected + module.bias.cpu().view(-1, *[1] * ndim)) * active[:, None]
    assert_near(out.dense().cpu(), expected)


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 2, 1, 1), (2, 2, 0, 1), (3, 1, 0, 1), (3, 3, 2, 2), (4, 2, 1, 1)]
)
def test_strided_is_dense_conv(backend, device, voxels, shuffled, dense_conv, ndim, kernel, stride, padding, dilation):
    if ndim == 4 and padding == 0 and kernel == 3:
        pytest.skip("the other cases cover it")
    if ndim == 4 and dilation == 2:
        pytest.skip("the window is wider than the grid")
    dense, active = voxels(SHAPES[ndim], 3, batch_size=2, density=0.1)
    module = layer("SparseConv", ndim)(3, 5, kernel, stride, padding, dilation, bias=False, backend=backend).to(device)
    out = module(shuffled(dense, active).to(device))
    if ndim < 4:
        weight = torch_weight(module.weight, module.kernel_size).cpu()
        expected = CONV[ndim](dense, weight, stride=stride, padding=padding, dilation=dilation)
    else:
        expected = dense_conv(dense, module.weight.cpu(), module.window)
    assert_near(out.dense().cpu(), expected)
    reached = dense_conv(active[:, None].double(), torch.ones(len(module.weight), 1, 1).double(), module.window)
    torch.testing.assert_close(out.coords.cpu(), reached[:, 0].nonzero().int())  # which also sorts lexicographically


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding", "dilation"),
    [(3, 2, 1, 1, 1), (2, 2, 0, 0, 1), (3, 1, 1, 0, 1), (3, 3, 2, 1, 2)],
)
def test_transposed_is_dense_conv_transpose(
    backend, device, voxels, shuffled, dense_transpose, ndim, kernel, stride, padding, output_padding, dilation
):
    dense, active = voxels(SHAPES[ndim], 3, batch_size=2, density=0.1)
    module = layer("SparseConvTranspose", ndim)(
        3, 5, kernel, stride, padding, output_padding, dilation, bias=False, backend=backend
    ).to(device)
    out = module(shuffled(dense, active).to(device))
    extra = (output_padding,) * ndim
    if ndim < 4:
        weight = torch_weight(module.weight, module.kernel_size, transposed=True).cpu()
        expected = TRANSPOSE[ndim](
            dense, weight, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
        )
    else:
        expected = dense_transpose(dense, module.weight.cpu(), module.window, extra)
    assert_near(out.dense().cpu(), expected)
    ones = torch.ones(len(module.weight), 1, 1).double()
    reached = dense_transpose(active[:, None].double(), ones, module.window, extra)
    torch.testing.assert_close(out.coords.cpu(), reached[:, 0].nonzero().int())


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_inverse_restores_the_sites_of_its_pair(backend, device, voxels, shuffled, ndim):
    dense, active = voxels(SHAPES[ndim], 3, batch_size=2, density=0.2)
    x = shuffled(dense, active).to(device)
    down = layer("SparseConv", ndim)(3, 4, 3, 2, 1, indice_key="down", backend=backend).to(device)
    up = layer("SparseInverseConv", ndim)(4, 5, 3, "down", bias=False, backend=backend).to(device)
    middle = down(x)
    out = up(middle)
    assert out.sites is x.sites
    weight = torch_weight(up.weight, up.kernel_size, transposed=True).cpu()
    restored = [(n - 1) % 2 for n in SHAPES[ndim]]  # the output padding that gives back an even size
    expected = TRANSPOSE[ndim](middle.dense().cpu(), weight, stride=2, padding=1, output_padding=restored)
    assert_near(out.dense().cpu(), expected * active[:, None])


def test_the_explicit_loops_agree_with_torch(voxels, dense_conv, dense_transpose):
    dense, _ = voxels((6, 5, 7), 2, dtype=torch.float64)
    weight = torch.randn(18, 2, 3, dtype=torch.float64)
    window = Window((3, 2, 3), (2, 1, 2), (1, 0, 2), (1, 2, 1))
    stride, padding, dilation = window.stride, window.padding, window.dilation
    expected = F.conv3d(dense, torch_weight(weight, window.kernel), None, stride, padding, dilation)
    torch.testing.assert_close(dense_conv(dense, weight, window), expected)
    weight_t = torch_weight(weight, window.kernel, transposed=True)
    expected = F.conv_transpose3d(dense, weight_t, None, stride, padding, (1, 0, 1), dilation=dilation)
    torch.testing.assert_close(dense_transpose(dense, weight, window, (1, 0, 1)), expected)


@pytest.mark.parametrize("kind", ["submanifold", "strided", "transposed", "inverse"])
@pytest.mark.parametrize(("c_in", "c_out"), [(1, 1), (3, 33), (33, 3), (64, 16), (17, 64)])
def test_values_and_gradients_against_the_float64_twin(backend, device, voxels, shuffled, kind, c_in, c_out):
    dense, active = voxels((11, 10, 9), c_in, batch_size=2, density=0.25)
    x = shuffled(dense, active).to(device)
    window = Window.centred((3,) * 3, (1,) * 3)
    if kind != "submanifold":
        window = Window((3, 2, 3), (2, 2, 1), (1, 0, 1), (1, 1, 2))
    kernel_map = x.maps.find(x.sites, window, "strided" if kind == "inverse" else kind, (0, 0, 0))
    if kind == "inverse":
        kernel_map = kernel_map.inverse()
        x = SparseTensor.on_sites(torch.randn(len(kernel_map.inputs), c_in).to(device), kernel_map.inputs)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(window.volume, c_in, c_out, generator=generator).to(device)
    bias = torch.randn(c_out, generator=generator).to(device)
    out_grad = torch.randn(len(kernel_map.outputs), c_out, generator=generator).to(device)

    def run(dtype, backend):
        leaves = [t.detach().to(dtype).requires_grad_() for t in (x.features, weight, bias)]
        out = convolve(x.replace_features(leaves[0]), leaves[1], leaves[2], kernel_map, backend).features
        out.backward(out_grad.to(dtype))
        return [out.detach(), *(leaf.grad for leaf in leaves)]

    for ours, exact in zip(run(torch.float32, backend), run(torch.float64, "torch"), strict=True):
        scale = exact.abs().max()
        torch.testing.assert_close(ours.double() / scale, exact / scale, rtol=0, atol=3e-6)


@pytest.mark.parametrize("kind", ["submanifold", "strided", "transposed"])
def test_gradcheck_of_the_twin(voxels, shuffled, kind):
    dense, active = voxels((5, 4), 2, density=0.4, dtype=torch.float64)
    x = shuffled(dense, active)
    window = Window.centred((3, 3), (1, 1)) if kind == "submanifold" else Window((3, 2), (2, 1), (1, 0), (1, 1))
    kernel_map = KernelMaps().find(x.sites, window, kind, (0, 0))
    weight = torch.randn(window.volume, 2, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    features = x.features.requires_grad_()

    def run(features, weight, bias):
        return convolve(x.replace_features(features), weight, bias, kernel_map, "torch").features

    assert torch.autograd.gradcheck(run, (features, weight, bias))


def test_no_voxels_and_one_voxel(backend, device):
    empty = SparseTensor(torch.zeros(0, 3), torch.zeros(0, 4, dtype=torch.int32), (4, 5, 6), 2).to(device)
    module = sparse.SubMConv3d(3, 4, backend=backend).to(device)
    module(empty).features.sum().backward()
    assert module(empty).features.shape == (0, 4)
    assert module.weight.grad is not None
    assert not module.weight.grad.any()
    down = sparse.SparseConv3d(3, 4, 3, 2, 1, backend=backend).to(device)
    assert down(empty).dense().shape == (2, 4, 2, 3, 3)
    one = SparseTensor(torch.ones(1, 3), torch.tensor([[0, 3, 0, 5]], dtype=torch.int32), (4, 5, 6), 1).to(device)
    assert module.bias is not None
    torch.testing.assert_close(module(one).features[0], module.weight[13].sum(0) + module.bias)


def test_no_bias_and_only_the_gradients_asked_for(backend, device, voxels, shuffled):
    x = shuffled(*voxels((6, 6, 6), 3)).to(device)
    module = sparse.SubMConv3d(3, 4, bias=False, backend=backend).to(device)
    module.weight.requires_grad_(False)
    x = x.replace_features(x.features.requires_grad_())
    module(x).features.sum().backward()
    assert x.features.grad is not None
    assert module.weight.grad is None


def test_weight_order_is_last_axis_fastest_without_flip(backend, device):
    """One voxel at 2; offset k of output i reads input i + k - 1, so output 1 uses the last weight."""
    x = SparseTensor(torch.ones(1, 1), torch.tensor([[0, 2, 2]], dtype=torch.int32), (5, 5), 1).to(device)
    module = sparse.SparseConv2d(1, 1, 3, padding=1, bias=False, backend=backend).to(device)
    with torch.no_grad():
        module.weight.copy_(torch.arange(9.0).view(9, 1, 1))
    out = module(x).dense()[0, 0]
    assert out[1, 1] == 8
    assert out[1, 2] == 7
    assert out[2, 1] == 5
    assert out[3, 3] == 0


def test_layers_refuse_what_does_not_fit(voxels, shuffled):
    x = shuffled(*voxels((6, 6, 6), 3))
    with pytest.raises(InputError, match="odd kernel sizes, got \\(2, 2, 2\\)"):
        sparse.SubMConv3d(3, 4, 2)
    with pytest.raises(InputError, match="expected 4 channels and 27 kernel offsets by the weight, got 3 and 27"):
        sparse.SubMConv3d(4, 4)(x)
    with pytest.raises(InputError, match="expected a layer for 3 axes"):
        sparse.SubMConv2d(3, 4)(x)
    with pytest.raises(InputError, match="expected features and weight alike"):
        sparse.SubMConv3d(3, 4).double()(x)
    with pytest.raises(InputError, match="too small for kernel"):
        sparse.SparseConv3d(3, 4, 7)(x)
    with pytest.raises(InputError, match="expected stride of 1 or 3 numbers"):
        sparse.SparseConv3d(3, 4, 3, (1, 2))
    with pytest.raises(InputError, match="kernel sizes of 1 to 127"):
        sparse.SparseConv1d(3, 4, 129)
    with pytest.raises(InputError, match="output_padding must be below"):
        sparse.SparseConvTranspose3d(3, 4, 2, 2, 0, 2)(x)
    with pytest.raises(InputError, match="expected backend auto, native, torch, spconv, got 'cuda'"):
        sparse.SubMConv3d(3, 4, backend="cuda")


def test_autocast_keeps_the_weights_dtype(voxels, shuffled):
    x = shuffled(*voxels((6, 6, 6), 3))
    module = sparse.SubMConv3d(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = module(x.replace_features(x.features.bfloat16()))
    assert out.features.dtype == torch.float32
