"""The window of a sparse convolution: which input voxel meets which output voxel at which kernel offset."""

import itertools
import math
from dataclasses import dataclass

from worldloom.errors import InputError

MAX_KERNEL = 127  # per axis; the native kernels keep one axis' offsets on the stack


@dataclass(frozen=True)
class Window:
    """input = output * stride - padding + k * dilation, per axis, as in torch.nn.functional.conv3d.

    A transposed layer reads the same equation with input and output swapped.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def __post_init__(self):
        if any(not 1 <= size <= MAX_KERNEL for size in self.kernel):
            raise InputError(f"expected kernel sizes of 1 to {MAX_KERNEL}, got {self.kernel}")
        if any(size < 1 for size in (*self.stride, *self.dilation)) or any(size < 0 for size in self.padding):
            raise InputError(
                "expected stride and dilation of at least 1 and padding of at least 0, "
                f"got {self.stride}, {self.dilation} and {self.padding}"
            )

    @classmethod
    def centred(cls, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> "Window":
        """The window of a submanifold layer: output voxel in the middle, so every size must be odd."""
        if any(size % 2 == 0 for size in kernel):
            raise InputError(f"a submanifold layer needs odd kernel sizes, got {kernel}")
        padding = tuple(d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
        return cls(kernel, (1,) * len(kernel), padding, dilation)

    @property
    def volume(self) -> int:
        return math.prod(self.kernel)

    def offsets(self) -> list[tuple[int, ...]]:
        """All kernel offsets in weight order: last axis fastest."""
        return list(itertools.product(*(range(size) for size in self.kernel)))

    def strided_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Grid that a strided layer makes of `shape`; torch's formula for conv3d."""
        sizes = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(shape, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        if any(size < 1 for size in sizes):
            raise InputError(f"a grid of {shape} is too small for kernel {self.kernel} with dilation {self.dilation}")
        return sizes

    def transposed_shape(self, shape: tuple[int, ...], output_padding: tuple[int, ...]) -> tuple[int, ...]:
        """Grid that a transposed layer makes of `shape`; torch's formula for conv_transpose3d."""
        if any(
            not 0 <= extra < max(s, d) for extra, s, d in zip(output_padding, self.stride, self.dilation, strict=True)
        ):
            raise InputError(f"output_padding must be below stride or dilation, got {output_padding} with {self}")
        sizes = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1 + extra
            for n, k, s, p, d, extra in zip(
                shape, self.kernel, self.stride, self.padding, self.dilation, output_padding, strict=True
            )
        )
        if any(size < 1 for size in sizes):
            raise InputError(f"padding {self.padding} leaves nothing of a grid of {shape}")
        return sizes


def per_axis(value: int | tuple[int, ...], ndim: int, what: str) -> tuple[int, ...]:
    """One number for each axis, from one number for all or one each."""
    values = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(values) != ndim:
        raise InputError(f"expected {what} of 1 or {ndim} numbers, got {values}")
    return values
