"""Training: resumed equals uninterrupted bit for bit, whatever interrupts it; and what the average averages."""

import math
import os
import signal
import threading

import pytest
import torch
from torch import nn

from mpl_diffusion import MLP, AlternatingTrainer, Denoiser, Trainer, batches, fast_precision, hinge_loss, linear
from mpl_diffusion.files import load_tensors, save_tensors
from mpl_diffusion.training.trainer import WINDOW, Progress, _gamma

STEPS = 12
DATA = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))


def fresh(seed=0, **options):
    """A trainer as a new process would make it: other weights, other random state."""
    torch.manual_seed(seed)
    denoiser = Denoiser(MLP(width=8, depth=1), linear(50))
    return Trainer(denoiser, denoiser.loss, warmup=5, **options)


def data():
    return batches(DATA, size=16, seed=3)


def everything(trainer):
    moments = trainer.optimizer.state_dict()["state"]
    return {
        **{f"model.{k}": v.clone() for k, v in trainer.model.state_dict().items()},
        **{f"ema.{k}": v.clone() for k, v in trainer.ema.state_dict().items()},
        **{f"adam.{i}.{k}": v.clone() for i, state in moments.items() for k, v in state.items()},
        "losses": torch.tensor(trainer.losses, dtype=torch.float64),
        "step": torch.tensor(trainer.step),
    }


def same(a, b):
    assert a.keys() == b.keys()
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.fixture(scope="module")
def uninterrupted():
    trainer = fresh()
    progress = list(trainer.run(data(), STEPS))
    assert progress == [Progress(k + 1, loss) for k, loss in enumerate(trainer.losses)]
    return everything(trainer)


# ----------------------------------------------------------------------------------- stop and go on


@pytest.mark.parametrize("stop", [1, 5, 7, STEPS])
def test_resumed_from_a_checkpoint_equals_uninterrupted_bit_for_bit(uninterrupted, tmp_path, stop):
    first = fresh()
    for progress in first.run(data(), STEPS):
        if progress.step == stop:
            break
    first.save(tmp_path / "run.safetensors")
    second = fresh(seed=99)
    torch.rand(5)
    second.load(tmp_path / "run.safetensors")
    same(everything(second), everything(first))
    assert second.step == stop
    list(second.run(data(), STEPS))
    same(everything(second), uninterrupted)


def test_a_run_that_is_left_and_entered_again_goes_on_as_if_it_had_never_stopped(uninterrupted):
    trainer = fresh()
    for stop in (3, 4, STEPS):
        for progress in trainer.run(data(), STEPS):
            if progress.step == stop:
                break
    same(everything(trainer), uninterrupted)
    assert list(trainer.run(data(), STEPS)) == []  # all are done


@pytest.fixture
def ctrl_c():
    """Python's own handler, also where the tests run in the background: there a shell has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("when", [1, 6])
def test_ctrl_c_during_a_step_waits_for_it_and_the_run_goes_on_as_if_nothing_happened(uninterrupted, when, ctrl_c):
    trainer = fresh()
    loss = trainer.loss

    def interrupted(*batch):
        if trainer.step + 1 == when:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(*batch)

    trainer.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        list(trainer.run(data(), STEPS))
    assert trainer.step == when == len(trainer.losses) and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    trainer.loss = loss
    list(trainer.run(data(), STEPS))
    same(everything(trainer), uninterrupted)


def test_ctrl_c_between_two_steps_is_not_held_back(ctrl_c):
    trainer = fresh()
    with pytest.raises(KeyboardInterrupt):
        for progress in trainer.run(data(), STEPS):
            if progress.step == 2:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):  # Python delivers it within a few instructions
                    pass
    assert trainer.step == 2


def test_training_works_in_a_thread_too(uninterrupted):
    trainer = fresh()
    thread = threading.Thread(target=lambda: list(trainer.run(data(), STEPS)))
    thread.start()
    thread.join()
    same(everything(trainer), uninterrupted)


# ----------------------------------------------------------------------------------- when it goes wrong


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_weights_of_the_step_before(bad):
    trainer = fresh()
    loss = trainer.loss
    trainer.loss = lambda *batch: loss(*batch) * (bad if trainer.step == 4 else 1)
    with pytest.raises(
        ValueError, match=rf"the loss is {bad} at step 5; model and ema are those of step 4. Lower lr = 0.002"
    ):
        for progress in trainer.run(data(), STEPS):
            if progress.step == 4:
                before = everything(trainer)
    same(everything(trainer), before)


def test_a_gradient_that_is_not_finite_stops_with_the_weights_of_the_step_before():
    trainer = fresh()
    loss = trainer.loss

    def with_a_root_of_0(*batch):  # a finite loss, whose slope is not
        return loss(*batch) + (0 * trainer.model.net.out.bias.sum()).sqrt() if trainer.step == 4 else loss(*batch)

    trainer.loss = with_a_root_of_0
    with pytest.raises(ValueError, match=r"the gradient is nan at step 5; model and ema are those of step 4"):
        for _ in trainer.run(data(), STEPS):
            before = everything(trainer)
    same(everything(trainer), before)


def run_with_losses(curve):
    """Train where the loss is written down beforehand; the gradient is 0."""
    model = Counter()
    trainer = Trainer(model, lambda x: 0 * model.w.sum() + float(curve[trainer.step]))
    for _ in trainer.run(batches(torch.zeros(1, 1), size=1), len(curve)):
        pass
    return trainer


def noisy(level, spread=0.3):
    """Losses about a level, as batches make them: some far above it, lognormal."""
    rng = torch.Generator().manual_seed(0)
    return level * (spread * torch.randn(len(level), generator=rng, dtype=torch.float64)).exp()


FALL = torch.linspace(0, 1, 1200, dtype=torch.float64)
HEALTHY = {
    "falls to a level": noisy(0.1 + 0.9 * (-20 * FALL).exp()),
    "is noisy from batch to batch": noisy(1 - 0.5 * FALL, spread=1.5),
    "has single spikes": noisy(0.1 + 0.9 * (-20 * FALL).exp()) * (1 + 1000 * (torch.arange(1200) % 50 == 49)),
    "is bad for 40 steps and recovers": noisy(0.2 + 0 * FALL) * (1 + 100 * ((600 < 1200 * FALL) & (1200 * FALL < 640))),
    "almost vanishes and rises a hundredfold": noisy((-30 * (FALL - 0.5 * FALL**2) * 1.5).exp() + 1e-4 * (FALL > 0.8)),
    "is negative and rises": -noisy(5 - 4.9 * FALL),
    "stays where it began": noisy(1 + 0 * FALL),
}
DIVERGED = {
    "explodes": noisy(0.1 * 1e6 ** (FALL > 0.5).double()),
    "explodes in the first window": noisy(10 ** (3.0 * (torch.arange(1200, dtype=torch.float64) > 20))),
    "forgets all it had learned": noisy(0.01 + 2 * (-60 * FALL).exp() + (FALL > 0.5)),
    "is 20 times its level, most of the time": noisy(0.1 + 1.9 * ((FALL > 0.5) & (torch.arange(1200) % 4 > 0))),
    "grows slowly without end": noisy(10 ** (4 * FALL)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_never_stopped_when_its_loss(name):
    assert run_with_losses(HEALTHY[name]).step == 1200


@pytest.mark.parametrize("name", DIVERGED)
def test_a_run_has_diverged_when_its_loss(name):
    with pytest.raises(ValueError, match=r"the run has diverged: at step \d+ the loss .* lower lr than 0.002"):
        run_with_losses(DIVERGED[name])


def test_divergence_is_noticed_within_a_window_and_a_checkpoint_from_within_is_not_worth_keeping():
    model, healthy = Counter(), []
    trainer = Trainer(model, lambda x: 0 * model.w.sum() + (1.0 if trainer.step < 350 else 1e3))
    with pytest.raises(ValueError, match="diverged: at step 401"):
        for _ in trainer.run(batches(torch.zeros(1, 1), size=1), 1000):
            healthy.append(trainer.healthy)
    assert healthy == [True] * 350 + [False] * 50 and WINDOW == 100


def test_a_spike_that_is_over_does_not_keep_checkpoints_away():
    curve = torch.ones(300)
    curve[200] = 1e4
    trainer, healthy = run_with_losses(curve[:201]), []
    healthy.append(trainer.healthy)
    trainer.losses += [1.0] * 10
    assert [*healthy, trainer.healthy] == [False, True]


def test_a_resumed_run_still_knows_its_level(tmp_path):
    first = run_with_losses(DIVERGED["explodes"][:600])
    first.save(tmp_path / "run.safetensors")
    model = Counter()
    second = Trainer(model, lambda x: 0 * model.w.sum() + 1e5)
    second.load(tmp_path / "run.safetensors")
    assert second._bar() == first._bar() < 10
    with pytest.raises(ValueError, match="diverged: at step 651"):
        list(second.run(batches(torch.zeros(1, 1), size=1), 1200))


# ----------------------------------------------------------------------------------- precision, compile, device


def test_in_bfloat16_the_network_multiplies_in_it_and_weights_and_loss_stay_in_float32():
    trainer, seen = fresh(precision="bfloat16"), []
    trainer.model.net.out.register_forward_hook(lambda layer, x, y: seen.append(y.dtype))
    half = list(trainer.run(data(), STEPS))
    assert set(seen) == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in [*trainer.model.parameters(), *trainer.ema.parameters()])
    full = list(fresh().run(data(), STEPS))
    assert [p.loss for p in half] == pytest.approx([p.loss for p in full], rel=0.02) and half != full


def test_compile_sends_the_network_through_torch_compile(monkeypatch, uninterrupted):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda net: compiled.append(net))
    trainer = fresh(compile=True)
    list(trainer.run(data(), STEPS))
    same(everything(trainer), uninterrupted)
    fresh()
    net = Counter()
    Trainer(net, lambda x: 0 * net.w.sum(), compile=True)
    assert compiled == [trainer.model.net, net]


def test_a_batch_goes_to_the_device_of_the_model():
    """The meta device is as far away as a GPU: what stayed behind could not be multiplied."""
    trainer, seen = fresh(), []
    trainer.device = torch.device("meta")
    trainer.update = lambda batch, steps: seen.extend(x.device.type for x in batch) or setattr(trainer, "step", 1)
    next(trainer.run(batches(DATA, DATA, size=4), 1))
    assert seen == ["meta", "meta"]


@pytest.mark.parametrize("avx512_bf16", [False, True])
@pytest.mark.parametrize("amx", [False, True])
def test_a_cpu_gets_bfloat16_where_it_multiplies_that_in_hardware(monkeypatch, avx512_bf16, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fast_precision("cpu") == ("bfloat16" if avx512_bf16 or amx else "float32")


@pytest.mark.parametrize("new", [False, True])
def test_a_gpu_gets_bfloat16_where_it_multiplies_that_in_hardware(monkeypatch, new):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: new or including_emulation)
    assert fast_precision("cuda:1") == ("bfloat16" if new else "float32")
    assert fast_precision("mps") == "float32"


# ----------------------------------------------------------------------------------- learning rate, average


def test_lr_warms_up_linearly_and_decays_to_0_along_a_cosine():
    trainer, rates = fresh(lr=0.01), []
    for _ in trainer.run(data(), 400):
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    expected = [0.01 * min(1, (k + 1) / 5) * math.cos(math.pi / 2 * k / 400) ** 2 for k in range(400)]
    assert rates == pytest.approx(expected, rel=1e-12) and rates[-1] < 1e-6 and max(rates) < 0.01


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))


def averaging_weights(share, steps):
    """Feed the average a row of unit impulses: step k's weight in it, for k = 1 ... steps."""
    model = Counter()
    model.w = nn.Parameter(torch.zeros(steps, dtype=torch.float64))
    trainer = Trainer(model, lambda batch: model.w.sum() * 0, lr=1e-12, ema=share)
    for k in range(steps):
        with torch.no_grad():
            model.w.zero_()[k] = 1
        trainer.update((None,), steps)
    return trainer.ema.w


@pytest.mark.parametrize("share", [0.03, 0.05, 0.1, 0.2])
def test_the_average_weighs_past_steps_by_a_power_and_its_width_is_the_share_asked_for(share):
    n = 1000
    w, k = averaging_weights(share, n), torch.arange(1, n + 1, dtype=torch.float64)
    assert float(w.sum()) == pytest.approx(1, abs=1e-9) and (w >= -1e-15).all()
    mean = float((w * k).sum())
    std = math.sqrt(float((w * (k - mean) ** 2).sum()))
    assert std / n == pytest.approx(share, rel=0.03)
    gamma = _gamma(share)
    profile = k**gamma / (k**gamma).sum()
    assert float((w - profile).abs().sum()) < 0.02


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25])
def test_gamma_solves_karras_equation(share):
    """Karras et al. 2024 give 16.97 for 0.05 and 6.94 for 0.10."""
    g = _gamma(share)
    assert (g + 1) / ((g + 2) ** 2 * (g + 3)) == pytest.approx(share**2, rel=1e-9)
    assert f"{_gamma(0.05):.2f} {_gamma(0.10):.2f}" == "16.97 6.94"


def test_after_one_step_the_average_is_the_model_and_never_the_start():
    trainer = fresh()
    start = [p.clone() for p in trainer.model.parameters()]
    next(trainer.run(data(), STEPS))
    for p, q in zip(trainer.model.parameters(), trainer.ema.parameters(), strict=True):
        assert torch.equal(p, q)
        assert p is not q and not q.requires_grad
    assert any(not torch.equal(p, s) for p, s in zip(trainer.model.parameters(), start, strict=True))


def test_training_learns():
    trainer = fresh(lr=1e-2)
    x = torch.full((256, 2), 0.8)  # one point: eps can be read off x_t
    list(trainer.run(batches(x, size=128), 400))
    assert sum(trainer.losses[-50:]) < 0.25 * sum(trainer.losses[:50])


def test_large_gradients_are_clipped():
    trainer = fresh(clip=0.01)
    seen = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: seen.append(float(torch.stack([p.grad.norm() for p in trainer.model.parameters()]).norm()))
    )
    list(trainer.run(data(), 5))
    assert seen == pytest.approx([0.01] * 5, rel=1e-3)


# ----------------------------------------------------------------------------------- checkpoints of others


def test_a_checkpoint_of_another_model_is_refused_and_nothing_changes(tmp_path):
    path = tmp_path / "other.safetensors"
    wide = Denoiser(MLP(width=16, depth=1), linear(50))
    other = Trainer(wide, wide.loss)
    next(other.run(data(), STEPS))
    other.save(path)
    trainer = fresh()
    next(trainer.run(data(), STEPS))
    before, state = everything(trainer), torch.get_rng_state()
    with pytest.raises(
        ValueError, match=r"other.safetensors holds another model: its parameters have other names or shapes"
    ):
        trainer.load(path)
    same(everything(trainer), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_damaged_checkpoint_is_refused_and_nothing_changes(tmp_path):
    path, trainer = tmp_path / "run.safetensors", fresh()
    next(trainer.run(data(), STEPS))
    trainer.save(path)
    next(trainer.run(data(), STEPS))
    before, whole = everything(trainer), path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1], b"", whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"run.safetensors is damaged.*delete it and make it again"):
            trainer.load(path)
        same(everything(trainer), before)
    with pytest.raises(FileNotFoundError, match="no such file"):
        trainer.load(tmp_path / "nowhere")


def test_facts_are_kept_with_a_checkpoint_and_other_facts_are_refused(tmp_path):
    path, trainer = tmp_path / "run.safetensors", fresh()
    next(trainer.run(data(), STEPS))
    trainer.save(path, {"seed": "0", "data": "points"})
    trainer.load(path)
    trainer.load(path, {"seed": "0"})
    before = everything(trainer)
    with pytest.raises(
        ValueError, match=r"run.safetensors is of another run: it has seed = 0 and not 1, steps = None and"
    ):
        trainer.load(path, {"seed": "1", "steps": "7", "data": "points"})
    same(everything(trainer), before)


def test_a_checkpoint_from_before_there_were_facts_and_processes_still_loads(uninterrupted, tmp_path):
    path, trainer = tmp_path / "run.safetensors", fresh()
    next(trainer.run(data(), STEPS))
    trainer.save(path)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, {"step": header["step"]})
    other = fresh(seed=5)
    other.load(path)
    list(other.run(data(), STEPS))
    same(everything(other), uninterrupted)


# ----------------------------------------------------------------------------------- taking turns


def gan(seed=0, width=8, **options):
    """A generator and its critic of a few weights, both with chance in their loss; `log` says whose turn it was."""
    torch.manual_seed(seed)
    generator, critic = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, 1))
    log = []

    def generated(x):
        log.append(("generator", x))
        return -critic(generator(torch.randn_like(x))).mean()

    def judged(x):
        log.append(("critic", x))
        return hinge_loss(critic(x), critic(generator(torch.randn_like(x)).detach()))

    turns = AlternatingTrainer(
        Trainer(generator, generated, warmup=5, **options), Trainer(critic, judged, warmup=5, **options)
    )
    turns.log = log
    return turns


def both(turns):
    return {f"{i}.{name}": t for i, trainer in enumerate(turns.trainers) for name, t in everything(trainer).items()}


@pytest.fixture(scope="module")
def played():
    turns = gan()
    progress = list(turns.run(data(), STEPS))
    assert progress == [Progress(k + 1, loss) for k, loss in enumerate(turns.trainers[0].losses)]
    return both(turns)


def test_trainers_take_turns_on_the_same_batch_and_each_takes_every_step():
    turns, some = gan(), data()
    list(turns.run(some, STEPS))
    assert [who for who, _ in turns.log] == ["generator", "critic"] * STEPS
    assert all(torch.equal(x, some[k // 2][0]) for k, (_, x) in enumerate(turns.log))
    assert [trainer.step for trainer in turns.trainers] == [len(trainer.losses) for trainer in turns.trainers]
    assert turns.step == STEPS and turns.ema is turns.trainers[0].ema and turns.losses is turns.trainers[0].losses
    rates = [trainer.optimizer.param_groups[0]["lr"] for trainer in turns.trainers]
    assert rates[0] == rates[1] == pytest.approx(2e-3 * math.cos(math.pi / 2 * (STEPS - 1) / STEPS) ** 2)


@pytest.mark.parametrize("stop", [1, 7, STEPS])
def test_trainers_in_turns_resume_from_one_checkpoint_bit_for_bit(played, tmp_path, stop):
    first = gan()
    for progress in first.run(data(), STEPS):
        if progress.step == stop:
            break
    first.save(tmp_path / "run.safetensors", {"seed": "0"})
    second = gan(seed=99)
    torch.rand(5)
    second.load(tmp_path / "run.safetensors", {"seed": "0"})
    same(both(second), both(first))
    assert [trainer.step for trainer in second.trainers] == [stop, stop]
    list(second.run(data(), STEPS))
    same(both(second), played)


@pytest.mark.parametrize("turn", [0, 1])
def test_ctrl_c_during_anyones_turn_waits_for_all_of_them(played, turn, ctrl_c):
    turns = gan()
    trainer = turns.trainers[turn]
    loss = trainer.loss

    def interrupted(*batch):
        if trainer.step + 1 == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(*batch)

    trainer.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        list(turns.run(data(), STEPS))
    assert [trainer.step for trainer in turns.trainers] == [6, 6]
    list(turns.run(data(), STEPS))
    same(both(turns), played)


@pytest.mark.parametrize("other", ["critic", "alone", "three", "facts"])
def test_a_checkpoint_that_does_not_fit_changes_none_of_those_who_take_turns(tmp_path, other):
    path = tmp_path / "other.safetensors"
    stranger = gan(width=8 if other != "critic" else 16)
    list(stranger.run(data(), 2))
    if other == "alone":
        stranger = stranger.trainers[0]
    if other == "three":
        stranger = AlternatingTrainer(*stranger.trainers, gan().trainers[0])
    stranger.save(path, {"seed": "1"})
    turns = gan()
    list(turns.run(data(), 1))
    before, state = both(turns), torch.get_rng_state()
    message = {"critic": "holds another model: its parameters", "facts": "of another run: it has seed = 1 and not 0"}
    with pytest.raises(ValueError, match=message.get(other, "is no checkpoint of 2 trainers that take turns")):
        turns.load(path, {"seed": "0"} if other == "facts" else None)
    same(both(turns), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_checkpoint_of_two_is_refused_by_one(tmp_path):
    turns = gan()
    list(turns.run(data(), 1))
    turns.save(tmp_path / "two.safetensors")
    with pytest.raises(ValueError, match=r"two\.safetensors holds another model"):
        turns.trainers[0].load(tmp_path / "two.safetensors")


def test_those_who_take_turns_are_healthy_when_the_first_is_and_have_at_least_one_step_to_do():
    turns = gan()
    assert turns.healthy
    for trainer in turns.trainers:
        trainer.losses = [1.0] * 200
    assert turns.healthy
    turns.trainers[1].losses[-1] = 1e3
    assert turns.healthy
    turns.trainers[0].losses[-1] = 1e3
    assert not turns.healthy
    with pytest.raises(ValueError, match="steps = 0; expected a whole number, at least 1"):
        list(turns.run(data(), 0))


def test_a_generator_and_its_critic_learn_where_the_data_are():
    """Data about (1, -1); the generator begins about 0 and knows them only by the critic's word."""
    x = 0.5 * torch.randn(512, 2) + torch.tensor([1.0, -1.0])
    turns = gan(lr=2e-2, betas=(0.5, 0.99))
    list(turns.run(batches(x, size=64), 300))
    generated = turns.ema(torch.randn(2000, 2))
    assert (generated.mean(0) - torch.tensor([1.0, -1.0])).norm() < 0.35


# ----------------------------------------------------------------------------------- batches


def test_each_epoch_visits_every_row_once_in_another_order():
    x = torch.arange(12)
    some = batches(x, size=4)
    epochs = [torch.cat([some[3 * e + i][0] for i in range(3)]) for e in range(3)]
    assert all(torch.equal(e.sort().values, x) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[1], epochs[2])


def test_rows_of_several_arrays_stay_together_and_a_rest_is_left_out():
    x, y = torch.arange(10), torch.arange(10) * 10
    for k in range(20):
        a, b = batches(x, y, size=3)[k]
        assert len(a) == 3 and torch.equal(10 * a, b)
    assert len(torch.cat([batches(x, size=3)[k][0] for k in range(3)]).unique()) == 9


def test_a_batch_is_a_pure_function_of_the_seed_and_its_number():
    x, order = torch.randn(30, 2), [7, 0, 29, 7, 3, 100, 0]
    one = batches(x, size=4, seed=1)
    seen = [one[k][0] for k in order]
    torch.rand(3)
    assert all(torch.equal(a, batches(x, size=4, seed=1)[k][0]) for a, k in zip(seen, order, strict=True))
    assert not torch.equal(seen[0], batches(x, size=4, seed=2)[7][0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: batches(torch.zeros(5, 2), torch.zeros(4), size=2),
            r"arrays of \[4, 5\] rows, size = 2; expected equal rows",
        ),
        (lambda: batches(torch.zeros(5, 2), size=6), r"arrays of \[5\] rows, size = 6; .*1 <= size <= rows"),
        (lambda: batches(torch.zeros(5, 2), size=0), r"size = 0"),
        (lambda: batches(size=1), r"arrays of \[\] rows"),
        (
            lambda: batches(torch.tensor([[0.0, math.nan], [math.inf, 1]]), size=1),
            r"2 entries of the data are NaN or infinite",
        ),
        (lambda: fresh(lr=0.0), r"lr = 0.0, ema = 0.05; expected lr > 0"),
        (lambda: fresh(lr=math.nan), r"lr = nan"),
        (lambda: fresh(precision="float16"), r"precision = 'float16'; expected one of 'float32', 'bfloat16'"),
        (lambda: fresh(ema=0.5), r"ema = 0.5; expected lr > 0, and the share 0 < ema < 0.28"),
        (lambda: fresh(ema=0), r"ema = 0; expected"),
        (lambda: list(fresh().run(data(), 0)), r"steps = 0; expected a whole number, at least 1"),
    ],
)
def test_bad_data_and_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_turn_that_failed_half_way_is_noticed_and_a_checkpoint_mends_it(tmp_path):
    turns = gan()
    list(turns.run(data(), 2))
    turns.save(tmp_path / "run.safetensors")
    critic = turns.trainers[1]
    judged, critic.loss = critic.loss, lambda x: critic.model(x).mean() * math.nan
    with pytest.raises(ValueError, match="the loss is nan at step 3"):
        list(turns.run(data(), STEPS))
    critic.loss = judged
    with pytest.raises(ValueError, match=r"have made \[3, 2\] steps: one failed in mid-turn. `load` a checkpoint"):
        list(turns.run(data(), STEPS))
    turns.load(tmp_path / "run.safetensors")
    assert [progress.step for progress in turns.run(data(), 4)] == [3, 4]


@pytest.mark.parametrize("rival", [False, True])
def test_a_loss_that_rises_is_a_divergence_unless_it_is_a_critic_s(rival):
    torch.manual_seed(0)
    model = nn.Linear(2, 1)

    def rising(x):
        return 0 * model(x).mean() + (0.01 if trainer.step < 100 else 5.0)

    trainer = Trainer(model, rising)
    if rival:
        AlternatingTrainer(Trainer(nn.Linear(2, 1), lambda x: x.sum()), trainer)
        assert len(list(trainer.run(data(), 300))) == 300 and trainer.healthy
    else:
        with pytest.raises(ValueError, match="has diverged"):
            list(trainer.run(data(), 300))
