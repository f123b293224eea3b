"""Solvers against problems whose solution is a formula."""

import math
from itertools import pairwise

import pytest
import torch

from mpl_diffusion import EULER, HEUN, MIDPOINT, RK4, adaptive_solver, integrate
from mpl_diffusion.reverse.ode import DORMAND_PRINCE, rk_step

TABLEAUS = {"Euler": EULER, "midpoint": MIDPOINT, "Heun": HEUN, "RK4": RK4, "Dormand-Prince": DORMAND_PRINCE}
tableaus = pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=TABLEAUS)


def swing(x, t):
    """dx/dt = x cos t, solved by x_0 exp(sin t)."""
    return x * math.cos(t)


def end(velocity, x, times, solver):
    *_, (t, x) = integrate(velocity, x, times, solver)
    assert t == times[-1]
    return x


@tableaus
def test_a_stage_stands_where_its_weights_lead(tableau):
    """c_i = sum_j a_ij: a velocity that is constant is followed exactly, in every stage."""
    assert [len(row) for row in tableau.a] == list(range(len(tableau.c))) and len(tableau.b) == len(tableau.c)
    for c, row in zip(tableau.c, tableau.a):
        assert sum(row) == pytest.approx(c, abs=1e-14)


@tableaus
def test_the_weights_meet_the_conditions_of_their_order(tableau):
    """Hairer, Norsett & Wanner 1993, table II.2.1: one number per rooted tree with up to `order` nodes (here to 4)."""
    c = torch.tensor(tableau.c, dtype=torch.float64)
    a = torch.zeros(len(c), len(c), dtype=torch.float64)
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = torch.tensor(row, dtype=torch.float64)
    conditions = [  # nodes, what b is multiplied by, what must come out
        (1, torch.ones_like(c), 1),
        (2, c, 1 / 2),
        (3, c**2, 1 / 3),
        (3, a @ c, 1 / 6),
        (4, c**3, 1 / 4),
        (4, c * (a @ c), 1 / 8),
        (4, a @ c**2, 1 / 12),
        (4, a @ a @ c, 1 / 24),
    ]
    for nodes, tree, value in conditions:
        if nodes <= tableau.order:
            assert float(torch.tensor(tableau.b).double() @ tree) == pytest.approx(value, abs=1e-7)
            if tableau.error:  # the embedded method meets them too: the difference sees none of these trees
                assert float(torch.tensor(tableau.error, dtype=torch.float64) @ tree) == pytest.approx(0, abs=1e-14)


@tableaus
def test_the_error_falls_with_the_order_of_the_method(tableau):
    x, errors = torch.ones((), dtype=torch.float64), []
    for n in (16, 32, 64):
        errors.append(abs(float(end(swing, x, torch.linspace(0, 2, n + 1).tolist(), tableau)) - math.exp(math.sin(2))))
    for coarse, fine in pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(tableau.order, abs=0.1 * tableau.order)


@tableaus
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 4, 4), (0, 2)], ids=str)
def test_a_step_keeps_any_shape_and_dtype_and_leaves_its_start_alone(tableau, shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    y = rk_step(swing, x, 0.0, 0.1, tableau)
    assert y.shape == x.shape and y.dtype == dtype and torch.equal(x, torch.ones(shape, dtype=dtype))
    torch.testing.assert_close(y.double(), torch.full(shape, math.exp(math.sin(0.1))).double(), rtol=1e-2, atol=0)


def test_forth_and_back_is_home():
    x, there = torch.randn(5, 2).double(), torch.linspace(0, 2, 101)
    times = there.double().tolist()
    y = end(swing, x, times, RK4)
    torch.testing.assert_close(end(swing, y, times[::-1], RK4), x, rtol=1e-8, atol=0)


def test_every_arrival_is_yielded_at_exactly_its_time():
    times = [1.0, 0.7, 0.55, 0.1]
    for solver in (RK4, adaptive_solver()):
        walk = list(integrate(swing, torch.ones(2).double(), times, solver))
        assert [t for t, _ in walk] == times[1:]
        for t, x in walk:
            assert float(x[0]) == pytest.approx(math.exp(math.sin(t) - math.sin(1)), rel=2e-4)


# ----------------------------------------------------------------------------------- adaptive steps


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_a_solver_that_chooses_its_steps_keeps_to_its_tolerance(tolerance):
    """The sum of at most 100 steps' errors; a tighter tolerance is not met by accident of a looser one."""
    x = torch.tensor([1.0, -3.0, 0.01]).double()
    error = (adaptive_solver(tolerance)(swing, x, 0.0, 10.0) - x * math.exp(math.sin(10))).abs().max()
    assert 0.01 * tolerance < float(error) < 100 * tolerance


def test_it_steps_finely_where_the_velocity_is_steep_and_coarsely_elsewhere():
    """dx/dt = -(x - tanh(50 t)) 10 has its only detail near t = 0."""
    visited = []

    def velocity(x, t):
        visited.append(t)
        return -10 * (x - math.tanh(50 * t))

    adaptive_solver(1e-6)(velocity, torch.zeros(1).double(), -3.0, 6.0)
    near = sum(abs(t) < 0.1 for t in visited)
    assert near / 0.2 > 5 * (len(visited) - near) / 5.8


def test_a_step_costs_six_evaluations_because_its_last_stage_is_the_next_ones_first():
    """x = t: no error at all, so steps of 1/10, 5/10 and the rest of the way."""
    calls = []
    end = adaptive_solver()(lambda x, t: calls.append(t) or torch.ones_like(x), torch.zeros(1).double(), 0.0, 1.0)
    assert len(calls) == 1 + 3 * 6 and float(end) == pytest.approx(1, abs=1e-14)


def test_it_goes_back_in_time_and_bears_an_entry_that_rests():
    x = torch.tensor([1.0, 0.0]).double()
    torch.testing.assert_close(
        adaptive_solver(1e-9)(swing, x, 2.0, -2.0), x * math.exp(-math.sin(2)), rtol=1e-8, atol=0
    )


def test_float32_reaches_what_float32_can():
    x = torch.ones(3)
    y = adaptive_solver(1e-6)(swing, x, 0.0, 2.0)
    assert y.dtype == torch.float32 and float((y - math.exp(math.sin(2))).abs().max()) < 1e-5


# ----------------------------------------------------------------------------------- what is refused


def test_a_pole_is_not_stepped_over():
    """dx/dt = x^2 from x = 1 is infinite at t = 1."""
    with pytest.raises(
        ValueError, match=r"near t = 1 the step shrank to .*: (tolerance 1e-06 cannot be met|dx/dt is NaN)"
    ):
        adaptive_solver(1e-6)(lambda x, t: x**2, torch.ones(1).double(), 0.0, 2.0)


def test_a_velocity_of_nan_is_named():
    with pytest.raises(ValueError, match=r"near t = 0.* the step shrank to .*: dx/dt is NaN or infinite there"):
        adaptive_solver()(lambda x, t: x * (math.nan if t > 0.5 else 1), torch.ones(1).double(), 0.0, 2.0)


@pytest.mark.parametrize("solver", [EULER, RK4])
def test_a_walk_that_ends_in_nan_says_so(solver):
    with pytest.raises(ValueError, match="the walk ended in NaN or infinity"):
        list(integrate(lambda x, t: x * math.nan, torch.ones(2), [0.0, 0.5, 1.0], solver))


@pytest.mark.parametrize("times", [[], [1.0]])
def test_a_walk_of_no_steps_is_refused_before_it_begins(times):
    with pytest.raises(ValueError, match=r"times = .*; expected at least two"):
        integrate(swing, torch.ones(2), times)


@pytest.mark.parametrize("tolerance", [0, -1e-6, math.nan, math.inf])
def test_a_tolerance_must_be_positive(tolerance):
    with pytest.raises(ValueError, match=r"tolerance = .*; expected a finite number, above 0"):
        adaptive_solver(tolerance)
