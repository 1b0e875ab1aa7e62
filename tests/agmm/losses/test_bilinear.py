import pytest
import torch
from torch.nn import functional as F

from agmm.losses.bilinear import adjoint_map, resize, resize_map

SIZES = [(6, 23), (23, 6), (1, 5), (5, 1), (7, 7), (41, 161), (4, 3)]
CPU = torch.device("cpu")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_resizing_equals_interpolate(sizes: tuple[int, int]) -> None:
    small, large = sizes
    values = torch.randn(2, 3, small, small + 1, dtype=torch.float64)
    expected = F.interpolate(values, size=(large, large + 2), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(values, (large, large + 2)), expected)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_adjoint_is_the_transpose(sizes: tuple[int, int]) -> None:
    in_size, out_size = sizes
    matrix = resize_map(in_size, out_size, CPU, torch.float64)(torch.eye(in_size, dtype=torch.float64), 0)
    start, stop = out_size // 3, max(out_size // 3 + 1, 2 * out_size // 3)
    part = adjoint_map(in_size, out_size, CPU, torch.float64, start, stop)
    transposed = torch.zeros(in_size, stop - start, dtype=torch.float64)
    part.add_to(transposed, torch.eye(stop - start, dtype=torch.float64), 0)
    torch.testing.assert_close(transposed, matrix[start:stop].T)


def test_rows_are_those_of_the_whole() -> None:
    values = torch.randn(3, 9, 4)
    whole = resize_map(9, 40, CPU, torch.float32)(values, 1)
    part = resize_map(9, 40, CPU, torch.float32, 11, 17)
    assert part.first == 11
    assert torch.equal(part(values, 1), whole[:, 11:17])


def test_maps_made_during_inference_serve_training() -> None:
    with torch.inference_mode():
        made = resize_map(13, 57, CPU, torch.float32)
    values = torch.ones(13, requires_grad=True)
    (values[made.index[:, 0]] * made.weight[:, 0]).sum().backward()  # would fail for an inference tensor
    assert values.grad is not None
