"""The parts together: a tiny sparse U-Net learns one toy sample."""

import torch
import torch.nn.functional as F
from torch import nn

from worldloom.ops import sparse


class TinyUNet(nn.Module):
    """One level down by a strided layer, back up by its inverse, with a skip connection."""

    def __init__(self):
        super().__init__()
        self.stem = sparse.SparseSequential(sparse.SubMConv3d(1, 8, indice_key="fine"), nn.ReLU())
        self.down = sparse.SparseSequential(sparse.SparseConv3d(8, 16, 3, 2, 1, indice_key="down"), nn.ReLU())
        self.middle = sparse.SparseSequential(sparse.SubMConv3d(16, 16), sparse.SparseGroupNorm(4, 16), nn.ReLU())
        self.up = sparse.SparseInverseConv3d(16, 8, 3, "down")
        self.head = sparse.SubMConv3d(16, 3, indice_key="fine")

    def forward(self, x):
        fine = self.stem(x)
        return self.head(sparse.cat([fine, self.up(self.middle(self.down(fine)))]))


def test_tiny_unet_overfits_one_sample(voxels):
    torch.manual_seed(0)
    _, active = voxels((9, 9, 5), 1, density=0.2)
    x = sparse.SparseTensor.from_dense(active[:, None].float())
    labels = (x.coords[:, 1] // 4).clamp(max=2).long()  # can be told from the border and the neighbourhood
    net = TinyUNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for _ in range(50):
        optimizer.zero_grad()
        F.cross_entropy(net(x).features, labels).backward()
        optimizer.step()
    assert (net(x).features.argmax(1) == labels).float().mean() > 0.97
