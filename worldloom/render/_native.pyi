from torch import Tensor

class Frame32:
    def info(self) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...
    def backward(
        self,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        sh: Tensor,
        extra: Tensor | None,
        depth_image: Tensor,
        on_rgb: Tensor | None,
        on_alpha: Tensor | None,
        on_depth: Tensor | None,
        on_extra: Tensor | None,
        threads: int,
    ) -> tuple[Tensor, ...]: ...

class Frame64(Frame32): ...

def forward_float32(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor,
    extra: Tensor | None,
    cam_from_world: Tensor,
    eye: Tensor,
    intrinsics: tuple[float, float, float, float],
    size: tuple[int, int],
    antialiased: bool,
    near: float,
    far: float,
    keep: bool,
    threads: int,
) -> tuple[Frame32, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]: ...

forward_float64 = forward_float32

def isa() -> str: ...
def rasterize_scalar_baseline(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh: Tensor,
    cam_from_world: Tensor,
    intrinsics: tuple[float, float, float, float],
    size: tuple[int, int],
) -> Tensor: ...
