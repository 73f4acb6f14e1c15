"""The native CPU rasterizer behind autograd; same values and gradients as the torch twin."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from worldloom.errors import InputError
from worldloom.geometry import Gaussians
from worldloom.geometry.rigid import invert
from worldloom.render import _native
from worldloom.render.raster import Raster
from worldloom.render.rendering import RenderInfo

FORWARD = {torch.float32: _native.forward_float32, torch.float64: _native.forward_float64}


def rasterize(
    gaussians: Gaussians,
    world_from_cam: Float[Tensor, "4 4"],
    K: Float[Tensor, "3 3"],
    size: tuple[int, int],
    *,
    antialiased: bool,
    extra: Float[Tensor, "n e"] | None,
    near: float,
    far: float,
) -> Raster:
    """Draw Gaussians into one camera with `torch.get_num_threads()` threads; same bits for any number."""
    means = gaussians.means
    if means.device.type != "cpu" or means.dtype not in FORWARD:
        raise InputError(f"backend 'native' draws float32 or float64 on the CPU, got {means.dtype} on {means.device}")
    scene = (means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh, extra)
    pose = (invert(world_from_cam), world_from_cam[:3, 3])
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*scene, *pose))
    fx, fy, cx, cy = K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    options = ((fx, fy, cx, cy), size, antialiased, near, far, keep)
    if keep:
        frame = Frame(torch.zeros_like(means[:, :2]))
        images = Rasterize.apply(frame, options, *scene, *pose)
    else:
        frame = Frame(None)
        images = draw(frame, options, *scene, *pose)
    rgb, alpha, depth, median, valid, channels = images
    return Raster(rgb, alpha, depth, median, valid, None if extra is None else channels, frame.read_info)


class Frame:
    """The native frame of one drawn camera, and the gradient of its means2d once backward() has run."""

    native: _native.Frame32

    def __init__(self, means2d_grad: Tensor | None) -> None:
        self.means2d_grad = means2d_grad

    def read_info(self) -> RenderInfo:
        means2d, radii, visible, tile_counts = self.native.info()
        return RenderInfo(means2d, radii, visible, tile_counts, self.means2d_grad)


def draw(frame: Frame, options: tuple, *tensors: Tensor | None) -> tuple[Tensor, ...]:
    """Run the kernels; leaves the native frame in `frame`."""
    arrays = [None if t is None else t.detach().contiguous() for t in tensors]
    assert arrays[0] is not None
    forward: Callable[..., Any] = FORWARD[arrays[0].dtype]
    frame.native, *images = forward(*arrays, *options, torch.get_num_threads())
    return tuple(images)


class Rasterize(torch.autograd.Function):
    """Images from (means, quats, scales, opacities, sh, extra, cam_from_world, eye)."""

    @staticmethod
    def forward(ctx: Any, frame: Frame, options: tuple, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        images = draw(frame, options, *tensors)
        ctx.frame = frame
        ctx.save_for_backward(*tensors[:6], images[2])
        ctx.mark_non_differentiable(images[3], images[4])
        ctx.set_materialize_grads(False)
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        given = [None if g is None else g.contiguous() for g in (grads[0], grads[1], grads[2], grads[5])]
        *scene, depth = (None if t is None else t.detach().contiguous() for t in ctx.saved_tensors)
        *on_scene, on_means2d, on_camera, on_eye = ctx.frame.native.backward(
            *scene, depth, *given, torch.get_num_threads()
        )
        ctx.frame.means2d_grad += on_means2d
        if scene[5] is None:
            on_scene[5] = None
        return None, None, *on_scene, on_camera, on_eye
