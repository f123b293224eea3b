"""The same numbers as diffusers' schedulers.

Their tables start at our t = 1: their index is ours - 1, so their walk over 999, 979, ..., 19 is ours over 1000, 980,
..., 20, and where they say "previous timestep < 0" we say t = 0. Conventions chosen to match:
DDIM with `set_alpha_to_one=True` (alpha_bar = 1 at the end) and a number of steps that divides T, because it jumps by
T // steps, whatever is visited next; `use_clipped_model_output=True` where x0_hat is clipped, because ours derives eps
anew. Their tables are float32. For comparisons to 1e-10 they are given the same betas in float64; as shipped they are
compared to what float32 allows: near t = 1 they know 1 - alpha_bar only to three digits or so.
"""

import diffusers  # the test extra brings it; without it parity is not tested, and that must show
import pytest
import torch

from mpl_diffusion import Denoiser, clamp, cosine, ddim, ddpm, final, from_beta, linear

SHAPES = {"points": (5, 2), "images": (2, 1, 8, 8)}
NAMES = {"linear": linear(), "squaredcos_cap_v2": cosine()}
AS_SHIPPED = {"linear": 5e-5, "squaredcos_cap_v2": 1e-3}  # cosine: 1/signal(T) is 20,000, and magnifies rounding
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
names = pytest.mark.parametrize("name", NAMES)


def model(x, t, cond=None):
    """A fixed eps-model that bends x and depends on t (ours)."""
    return torch.tanh(x) * (0.6 + 0.4 * t / 1000)


def theirs(kind, name, exact=True, **options):
    """A scheduler of theirs; `exact`: with its own betas, but everything computed from them in float64."""
    scheduler = kind(num_train_timesteps=1000, beta_schedule=name, **{"clip_sample": False, **options})
    if exact:
        scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas.double(), 0)
        scheduler.one = torch.ones((), dtype=torch.float64)
    return scheduler


def same_betas(scheduler):
    return from_beta(scheduler.betas.double())


def start(shape, n, dtype=torch.float64):
    x, *noise = torch.randn(n + 1, *shape, dtype=dtype)
    return x, noise


def scale(x):
    return float(x.abs().max())


def assert_same(ours, peer, relative):
    torch.testing.assert_close(ours, peer, rtol=0, atol=relative * scale(peer))


@names
def test_betas_and_alpha_bar_are_theirs_one_index_later(name):
    scheduler, schedule = theirs(diffusers.DDPMScheduler, name, exact=False), NAMES[name]
    torch.testing.assert_close(schedule.beta[1:].float(), scheduler.betas, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(schedule.alpha_bar[1:].float(), scheduler.alphas_cumprod, rtol=2e-4, atol=1e-6)
    torch.testing.assert_close(
        schedule.alpha_bar[1:], torch.cumprod(1 - scheduler.betas.double(), 0), rtol=1e-3, atol=1e-6
    )


@names
def test_zero_terminal_snr_is_their_rescaling(name):
    scheduler = theirs(diffusers.DDIMScheduler, name, exact=False, rescale_betas_zero_snr=True)
    schedule = NAMES[name].zero_terminal_snr()
    torch.testing.assert_close(schedule.alpha_bar[1:].float(), scheduler.alphas_cumprod, rtol=0, atol=2e-6)
    assert float(scheduler.alphas_cumprod[-1]) == float(schedule.alpha_bar[-1]) == 0


@shapes
@names
def test_diffuse_is_their_add_noise(name, shape):
    scheduler = theirs(diffusers.DDPMScheduler, name)
    x0, eps = torch.randn(2, *shape, dtype=torch.float64)
    t = torch.randint(1, 1001, (len(x0),))
    peer = scheduler.add_noise(x0, eps, t - 1)
    torch.testing.assert_close(same_betas(scheduler).diffuse(x0, t, eps), peer, rtol=0, atol=1e-13)


@shapes
@names
@pytest.mark.parametrize(("variance", "variance_type"), [("beta_tilde", "fixed_small"), ("beta", "fixed_large")])
@pytest.mark.parametrize("clipped", [False, True], ids=["free", "clipped"])
def test_ddpm_is_theirs_on_all_1000_steps(name, shape, variance, variance_type, clipped, monkeypatch):
    """Their clamp of beta_tilde to 1e-20 matters only at their t = 0, where no noise is drawn at all; on all steps
    `fixed_large` adds none there either, as ours. Theirs writes the mean with x0_hat and x_t, so clipping x0_hat alone
    is enough for it to be consistent."""
    scheduler = theirs(diffusers.DDPMScheduler, name, variance_type=variance_type, clip_sample=clipped)
    x, noise = start(shape, 999)
    recorded = iter(noise)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(recorded))
    schedule = same_betas(scheduler)
    denoiser = clamp(model, schedule) if clipped else model
    peer = x
    walk = ddpm(denoiser, schedule, x, variance=variance, noise=noise)
    for t, step in zip(scheduler.timesteps, walk, strict=True):
        assert int(t) == step.t
        out = scheduler.step(model(peer, int(t) + 1), t, peer)
        peer = out.prev_sample
        if int(t) % 100 == 0:
            assert_same(step.x, peer, 1e-9)
            assert_same(step.x0, out.pred_original_sample, 1e-9)
    assert_same(step.x, peer, 1e-9)
    assert next(recorded, None) is None


@names
def test_strided_ddpm_merges_betas_as_theirs_does(name, monkeypatch):
    """50 steps, `trailing` (999, 979, ..., 19). At the end, from 19 to the data, theirs draws noise of variance 1e-20
    (the clamp): ours adds none."""
    scheduler = theirs(diffusers.DDPMScheduler, name, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    x, noise = start((5, 2), 50)
    recorded = iter(noise)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(recorded))
    peer = x
    for t in scheduler.timesteps:
        peer = scheduler.step(model(peer, int(t) + 1), t, peer).prev_sample
    assert_same(final(ddpm(model, same_betas(scheduler), x, steps=50, noise=noise)), peer, 1e-9)


@shapes
@names
@pytest.mark.parametrize(
    ("steps", "spacing"), [(1, "trailing"), (10, "trailing"), (10, "leading"), (50, "leading"), (1000, "trailing")]
)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_theirs(name, shape, steps, eta, spacing):
    """`trailing` visits what ours does by itself; `leading` (980, ..., 20, 0, ours 981, ..., 21, 1, 0) is given."""
    scheduler = theirs(diffusers.DDIMScheduler, name, timestep_spacing=spacing, set_alpha_to_one=True)
    scheduler.set_timesteps(steps)
    x, noise = start(shape, steps)
    times = [int(t) + 1 for t in scheduler.timesteps] + [0]
    if spacing == "trailing":
        assert times == linear().times(steps).tolist()
    peer = x
    for t, z in zip(scheduler.timesteps, noise, strict=True):
        peer = scheduler.step(model(peer, int(t) + 1), t, peer, eta=eta, variance_noise=z).prev_sample
    ours = final(ddim(model, same_betas(scheduler), x, steps=times, eta=eta, noise=noise))
    assert_same(ours, peer, 1e-9)


@shapes
@names
@pytest.mark.parametrize("steps", [10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_clamped_ddim_is_theirs_with_clipped_x0_and_eps_derived_anew(name, shape, steps, eta):
    options = {"clip_sample": True, "timestep_spacing": "trailing"}
    scheduler = theirs(diffusers.DDIMScheduler, name, **options)
    scheduler.set_timesteps(steps)
    x, noise = start(shape, steps)
    peer, schedule = x, same_betas(scheduler)
    for t, z in zip(scheduler.timesteps, noise, strict=True):
        eps = model(peer, int(t) + 1)
        peer = scheduler.step(eps, t, peer, eta=eta, use_clipped_model_output=True, variance_noise=z).prev_sample
    ours = final(ddim(clamp(model, schedule), schedule, x, steps=steps, eta=eta, noise=noise))
    assert_same(ours, peer, 1e-9)
    assert scale(ours) <= 1 + 1e-9


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_v_prediction_from_zero_terminal_snr_is_theirs(eta):
    """Not with eta = 1: there rounding makes theirs take the root of a negative number in its first step."""

    class Net(torch.nn.Module):
        def forward(self, x, t, cond=None):
            return torch.sin(x) * (1 + t / 1000)[:, None]

    options = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = theirs(diffusers.DDIMScheduler, "linear", **options)
    scheduler.set_timesteps(50)
    schedule = same_betas(scheduler)
    x, noise = start((5, 2), 50)
    peer = x
    for t, z in zip(scheduler.timesteps, noise, strict=True):
        v = Net()(peer, torch.full((5,), float(t) + 1, dtype=torch.float64))
        peer = scheduler.step(v, t, peer, eta=eta, variance_noise=z).prev_sample
    assert float(schedule.signal(1000)) == 0
    assert_same(final(ddim(Denoiser(Net(), schedule, "v"), schedule, x, steps=50, eta=eta, noise=noise)), peer, 1e-9)


@shapes
@names
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_as_shipped_in_float32_ddim_agrees_to_what_their_tables_know(name, shape, eta):
    scheduler = theirs(diffusers.DDIMScheduler, name, exact=False, timestep_spacing="trailing")
    scheduler.set_timesteps(50)
    x, noise = start(shape, 50, torch.float32)
    peer = x
    for t, z in zip(scheduler.timesteps, noise, strict=True):
        peer = scheduler.step(model(peer, int(t) + 1), t, peer, eta=eta, variance_noise=z).prev_sample
    ours = final(ddim(model, NAMES[name], x, steps=50, eta=eta, noise=noise))
    assert ours.dtype == peer.dtype == torch.float32
    assert_same(ours, peer, AS_SHIPPED[name])


@names
def test_as_shipped_in_float32_ddpm_agrees_to_what_their_tables_know_and_shares_its_noise(name):
    """Both draw one normal tensor per noisy step from the same seeded generator."""
    scheduler = theirs(diffusers.DDPMScheduler, name, exact=False)
    x, _ = start((5, 2), 0, torch.float32)
    peer, generator = x, torch.Generator().manual_seed(7)
    for t in scheduler.timesteps:
        peer = scheduler.step(model(peer, int(t) + 1), t, peer, generator=generator).prev_sample
    ours = final(ddpm(model, NAMES[name], x, noise=torch.Generator().manual_seed(7)))
    assert_same(ours, peer, AS_SHIPPED[name])
