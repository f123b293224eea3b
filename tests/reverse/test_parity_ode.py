"""The solvers against independent ones: diffusers' schedulers for diffusion models, torchdiffeq for any ODE.

Conventions. diffusers counts t from 0, ours - 1 (row k of their tables is our row k + 1). Their Euler and Heun live in
y = x / signal with sigma = noise / signal as time, from the largest sigma to exactly 0: Euler there is our DDIM, step
by step, and Heun's last step is Euler's, for want of a score at sigma = 0. Their DPM-Solver++ lowers the order of its
last step where the last sigma is 0, as ours does, and, as ours does not, in any walk of fewer than 15 steps
(`lower_order_final`). Their tables are float32 and computed from the betas they are given, which are ours: that leaves
differences of 1e-5. torchdiffeq's dopri5 steps past the end and interpolates back.
"""

import math

import pytest
import torch
import torchdiffeq
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler

from mpl_diffusion import (
    EULER,
    HEUN,
    MIDPOINT,
    RK4,
    VE,
    VP,
    GaussianMixture,
    adaptive_solver,
    ddim,
    dpm_solver,
    final,
    integrate,
    linear,
    log_likelihood,
    ode_velocity,
    probability_flow,
)

T = 1000
SCHEDULE = linear(T)
PLANE = GaussianMixture(
    torch.tensor([0.3, 0.7]).double(),
    torch.tensor([[-1.0, 0.5], [0.8, -0.4]]).double(),
    torch.tensor([[[0.09, 0.03], [0.03, 0.05]], [[0.16, -0.05], [-0.05, 0.09]]]).double(),
)


def start(n=20):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def betas():
    return SCHEDULE.beta[1:].numpy()


# ----------------------------------------------------------------------------------- diffusers


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [10, 25])
def test_ddim_is_diffusers_euler_step_by_step(spacing, steps):
    """Ours is told their times (+ 1), with 0 behind; trailing is what `times` gives. (Their third spacing, linspace,
    visits times between the rows and interpolates sigma: another schedule there.)"""
    scheduler = EulerDiscreteScheduler(T, trained_betas=betas(), timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    times = [round(float(t)) + 1 for t in scheduler.timesteps] + [0]
    if spacing == "trailing":
        assert times == SCHEDULE.times(steps).tolist()
    exact, x = PLANE.denoiser(SCHEDULE), start()
    y = x / float(SCHEDULE.signal(times[0]))
    for t, ours in zip(scheduler.timesteps, ddim(exact, SCHEDULE, x, times)):
        k = round(float(t)) + 1
        y = scheduler.step(exact(float(SCHEDULE.signal(k)) * y, k), t, y).prev_sample
        torch.testing.assert_close(ours.x, float(SCHEDULE.signal(ours.t)) * y, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("steps", [10, 25])
def test_diffusers_heun_is_our_heun_in_sigma_with_eulers_last_step(steps):
    """dy/dsigma = eps; the same tableau, with diffusers' change of variables."""
    scheduler = HeunDiscreteScheduler(T, trained_betas=betas(), timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    times, exact, x = SCHEDULE.times(steps), PLANE.denoiser(SCHEDULE), start()
    signal, noise = SCHEDULE.signal(times), SCHEDULE.noise(times)
    sigma = (noise / signal).tolist()
    row = dict(zip(sigma, times.tolist()))

    def dy_dsigma(y, s):
        return exact(float(SCHEDULE.signal(row[s])) * y, row[s])

    def heun(velocity, y, s, h):  # s + h must be one of the sigmas, to the last digit
        k1 = velocity(y, s)
        return y + h * (k1 + velocity(y + h * k1, min(sigma, key=lambda v: abs(v - s - h)))) / 2

    y = x / float(signal[0])
    *_, (_, before) = integrate(dy_dsigma, y, sigma[:-1], heun)
    ours = EULER(dy_dsigma, before, sigma[-2], -sigma[-2])
    for t in scheduler.timesteps:
        k = round(float(t)) + 1
        y = scheduler.step(exact(float(SCHEDULE.signal(k)) * y, k), t, y).prev_sample
    torch.testing.assert_close(ours, y, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("steps", "last"), [(10, "zero"), (25, "zero"), (25, "sigma_min")])
def test_dpm_solver_is_diffusers_multistep_step_by_step(steps, last):
    """Ended at sigma = 0, or (with 15 steps and more, where theirs does not lower the last order) at row 1."""
    scheduler = DPMSolverMultistepScheduler(
        T, trained_betas=betas(), timestep_spacing="trailing", final_sigmas_type=last, solver_order=2
    )
    scheduler.set_timesteps(steps)
    times = [round(float(t)) + 1 for t in scheduler.timesteps] + [0 if last == "zero" else 1]
    exact, x = PLANE.denoiser(SCHEDULE), start()
    y = x
    for t, ours in zip(scheduler.timesteps, dpm_solver(exact, SCHEDULE, x, times)):
        y = scheduler.step(exact(y, round(float(t)) + 1), t, y).prev_sample
        torch.testing.assert_close(ours.x, y, rtol=5e-5, atol=5e-5)


# ----------------------------------------------------------------------------------- torchdiffeq


@pytest.mark.parametrize(
    ("name", "ours"), [("euler", EULER), ("midpoint", MIDPOINT), ("heun2", HEUN), ("rk4", None)], ids=str
)
def test_each_fixed_step_is_torchdiffeqs(name, ours):
    """To rounding. Its rk4 is another one, Kutta's 3/8 rule: the same order, not the same steps."""
    sde, x = VP(), start()
    times = sde.times(20)
    flow = ode_velocity(PLANE.denoiser(sde), sde)
    theirs = torchdiffeq.odeint(lambda t, x: flow(x, t), x, times, method=name)[1:]
    walk = [step.x for step in probability_flow(PLANE.denoiser(sde), sde, x, 20, ours or RK4)]
    close = 1e-10 if ours else 2e-2
    torch.testing.assert_close(torch.stack(walk), theirs, rtol=close, atol=close)


@pytest.mark.parametrize("sde", [VP(), VE()], ids=["VP", "VE"])
def test_the_adaptive_solver_agrees_with_torchdiffeqs_dopri5_and_costs_no_more_than_twice_its_calls(sde):
    """Both at a tolerance of 1e-9. Ours bounds the largest error, theirs the root mean square."""
    calls = {"ours": 0, "theirs": 0}
    exact, x = PLANE.denoiser(sde), sde.prior(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flow = ode_velocity(exact, sde)

    def count(who, x, t):
        calls[who] += 1
        return flow(x, t)

    *_, (_, ours) = integrate(lambda x, t: count("ours", x, t), x, [1.0, 0.1], adaptive_solver(1e-9))
    theirs = torchdiffeq.odeint(
        lambda t, x: count("theirs", x, t), x, torch.tensor([1.0, 0.1], dtype=torch.float64), rtol=1e-9, atol=1e-9
    )[-1]
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert calls["ours"] < 2 * calls["theirs"]


def test_the_likelihood_is_the_one_that_torchdiffeq_integrates():
    """Written out for a Gaussian: the rates and div v by hand, all of it by their solver."""
    sde, var = VP(), 0.36
    data = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 2).double(), var * torch.eye(2).double())
    x = data.sample(10, torch.Generator().manual_seed(0))

    def augmented(t, state):
        beta, alpha_bar = 0.1 + 19.9 * t, torch.exp(-0.1 * t - 9.95 * t**2)
        rate = float(-beta / 2 + beta / 2 / (alpha_bar * var + 1 - alpha_bar))  # the velocity is rate x
        return rate * state[0], torch.full((10,), 2 * rate, dtype=torch.float64)

    times = torch.tensor([sde.t_min, 1.0], dtype=torch.float64)
    x_1, change = torchdiffeq.odeint(augmented, (x, torch.zeros(10).double()), times, rtol=1e-10, atol=1e-10)
    theirs = -0.5 * (x_1[-1] ** 2).sum(1) - math.log(2 * math.pi) + change[-1]
    ours = log_likelihood(data.denoiser(sde), sde, x, solver=adaptive_solver(1e-9))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_walk_to_the_end_agrees_with_a_peers_to_a_hundredth_of_the_smallest_mode():
    """Whole walks of both packages' best: 50 steps of DPM-Solver++ and dopri5, in the sample's own units."""
    sde, x = VP(), start()
    exact = PLANE.denoiser(sde)
    flow = ode_velocity(exact, sde)
    theirs = torchdiffeq.odeint(lambda t, x: flow(x, t), x, sde.times(1), rtol=1e-9, atol=1e-9)[-1]
    times = sde.t_min + (1 - sde.t_min) * torch.linspace(1, 0, 101).double() ** 2
    assert float((final(dpm_solver(exact, sde, x, times)) - theirs).abs().mean()) < 0.01 * math.sqrt(0.05)
