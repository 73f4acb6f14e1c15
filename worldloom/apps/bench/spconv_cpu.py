"""Forward submanifold convolution by spconv on the CPU, as a program of its own: `python -m … IN.npz OUT.npz`.

One thread, because spconv 2.3.8 gives wrong results on the CPU with more; a process of its own, because that must be
set before it is loaded.
"""

import statistics
import sys
import time

import numpy as np
import torch


def main(source: str, target: str) -> None:
    """Read coords, features, weight [K, C_in, C_out] and shape; write the output features and the median seconds."""
    import spconv.pytorch as spconv  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    case = np.load(source, allow_pickle=False)
    weight = torch.from_numpy(case["weight"])
    _, c_in, c_out = weight.shape
    x = spconv.SparseConvTensor(
        torch.from_numpy(case["features"]), torch.from_numpy(case["coords"]), case["shape"].tolist(), 1
    )
    layer = spconv.SubMConv3d(c_in, c_out, 3, bias=False, indice_key="sites")
    with torch.no_grad():
        layer.weight.copy_(weight.permute(2, 0, 1).unflatten(1, (3, 3, 3)))  # [C_out, *kernel, C_in]
        out = cached = layer(x)  # finds the pairs; later calls with this tensor's indice_dict reuse them
        seconds = []
        for _ in range(int(case["repeats"])):
            start = time.perf_counter()
            out = layer(cached.replace_feature(x.features))
            seconds.append(time.perf_counter() - start)
    np.savez(target, out=out.features.numpy(), seconds=statistics.median(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
