import pytest
import torch
import torch.nn.functional as F

from ance.training.last_layer import in_batch_last_layer_norms, last_layer_norms


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_norm_is_that_of_the_loss_gradient_with_respect_to_the_three_vectors() -> None:
    query, positive, negative = vectors(4, 8), vectors(4, 8, seed=1), vectors(4, 3, 8, seed=2)
    found = last_layer_norms(query, positive, negative, scale=2.0)
    assert found.shape == (4, 3)
    for row in range(4):
        for column in range(3):
            leaves = [vector.clone().requires_grad_() for vector in (query[row], positive[row], negative[row, column])]
            F.softplus(2.0 * (leaves[0] @ leaves[2] - leaves[0] @ leaves[1])).backward()
            expected = torch.cat([leaf.grad for leaf in leaves]).norm()
            assert found[row, column] == pytest.approx(float(expected), rel=1e-5)


def test_an_uninformative_negative_teaches_nothing() -> None:
    query = torch.tensor([[1.0, 0.0]])
    easy, hard = torch.tensor([[[-30.0, 0.0]]]), torch.tensor([[[30.0, 0.0]]])
    assert last_layer_norms(query, query, easy) < 1e-10
    assert last_layer_norms(query, query, hard) > 1


def test_an_in_batch_negative_is_the_positive_of_the_next_query() -> None:
    query, positive = vectors(3, 8), vectors(3, 8, seed=1)
    nothing_known = torch.zeros(3, 3, dtype=torch.bool)
    found = in_batch_last_layer_norms(query, positive, nothing_known)
    negative = torch.stack([positive[1], positive[2], positive[0]]).unsqueeze(1)
    torch.testing.assert_close(found, last_layer_norms(query, positive, negative)[:, 0])


def test_a_known_positive_is_no_in_batch_negative() -> None:
    query, positive = vectors(3, 8), vectors(3, 8, seed=1)
    known = torch.zeros(3, 6, dtype=torch.bool)
    known[1, 2] = True
    everything = in_batch_last_layer_norms(query, positive, torch.zeros_like(known))
    torch.testing.assert_close(in_batch_last_layer_norms(query, positive, known), everything[[0, 2]])


def test_a_batch_of_one_has_no_in_batch_negative() -> None:
    assert len(in_batch_last_layer_norms(vectors(1, 8), vectors(1, 8), torch.zeros(1, 1, dtype=torch.bool))) == 0


def test_no_gradient_flows_back_from_what_is_only_watched() -> None:
    query = vectors(2, 8).requires_grad_()
    assert not last_layer_norms(query, query, query.unsqueeze(1)).requires_grad
