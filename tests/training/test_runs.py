"""`python -m mpl_diffusion train`: it ends with weights that load, and whatever stops it, it goes on exactly."""

import copy
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_recipe
import torch
from torch import nn

from mpl_diffusion import AlternatingTrainer, Trainer, hinge_loss, load, models
from mpl_diffusion.__main__ import main
from mpl_diffusion.files import digest, load_tensors, save_tensors
from mpl_diffusion.training import recipes
from mpl_diffusion.training.runs import train


@pytest.fixture(scope="module", autouse=True)
def a_tiny_recipe():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "tiny", tiny_recipe.tiny)
        patch.setitem(models.MODELS, "tiny", tiny_recipe.model)
        yield


@pytest.fixture(autouse=True)
def at_home(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("explode_after", "pipe", "interrupted_at"):
        monkeypatch.setattr(tiny_recipe, name, None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    assert train("tiny", out=out) == 0
    return out


def same(a, b, *names):
    for name in names or ("checkpoint", "weights"):
        (x, one), (y, two) = (load_tensors(folder / f"{name}.safetensors") for folder in (a, b))
        assert one == two and x.keys() == y.keys()
        assert not [key for key in x if not torch.equal(x[key], y[key])]


# ----------------------------------------------------------------------------------- what a run leaves


def test_a_run_writes_a_checkpoint_and_weights_that_load(capsys):
    assert main(["train", "tiny", "--steps", "12", "--batch", "8", "--seed", "3"]) == 0
    tensors, header = load_tensors("runs/tiny/weights.safetensors")
    facts = {"recipe": "tiny", "model": "tiny", "seed": "3", "steps": "12", "batch": "8", "data": "random points"}
    assert facts.items() <= header.items() and header["precision"] == "float32" and header["torch"] == torch.__version__
    assert len(header["data_sha256"]) == 64
    assert json.loads(header["quality"]) == {"weights": pytest.approx(float(tensors["net.out.bias"][0]))}
    checkpoint, notes = load_tensors("runs/tiny/checkpoint.safetensors")
    assert notes["step"] == "12" and facts.items() - {("model", "tiny")} <= notes.items()
    model = load("runs/tiny/weights.safetensors")
    assert all(torch.equal(v, checkpoint[f"ema.{k}"]) for k, v in model.state_dict().items())
    assert sorted(file.name for file in Path("runs/tiny").iterdir()) == [
        "checkpoint.safetensors",
        "weights.safetensors",
    ]
    out = capsys.readouterr().out
    assert "tiny: step 0 of 12, each 8 of 64 rows (random points), float32 on 1 x cpu" in out
    assert "weights.safetensors: weights " in out


def test_the_hash_of_the_data_tells_them_apart(monkeypatch, tmp_path):
    hashes = []
    for number in range(3):
        monkeypatch.setattr(tiny_recipe, "DATA", tiny_recipe.DATA + (number == 2) * torch.eye(64, 2) * 1e-3)
        train("tiny", out=tmp_path / str(number), steps=1)
        hashes.append(load_tensors(tmp_path / str(number) / "weights.safetensors")[1]["data_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


# ----------------------------------------------------------------------------------- stop and go on


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_a_checkpoint_says_how_to_go_on_and_going_on_is_exact(
    uninterrupted, tmp_path, capsys, monkeypatch, sign
):
    before = signal.getsignal(sign)
    monkeypatch.setattr(tiny_recipe, "interrupted_at", 7)
    monkeypatch.setattr(os, "kill", lambda pid, number, kill=os.kill: kill(pid, sign))
    assert main(["train", "tiny", "--out", "a"]) == 130
    assert "stopped after step 7: the same command with --resume goes on" in capsys.readouterr().out
    assert signal.getsignal(sign) is before
    assert load_tensors("a/checkpoint.safetensors")[1]["step"] == "7" and not Path("a/weights.safetensors").exists()
    monkeypatch.setattr(tiny_recipe, "interrupted_at", None)
    assert main(["train", "tiny", "--out", "a", "--resume"]) == 0
    assert "step 7 of 40" in capsys.readouterr().out
    same(tmp_path / "a", uninterrupted)


def test_a_finished_run_resumed_makes_the_same_weights_again(uninterrupted, tmp_path):
    assert train("tiny", out="a") == 0
    Path("a/weights.safetensors").unlink()
    assert train("tiny", out="a", resume=True) == 0
    same(tmp_path / "a", uninterrupted)


def test_resume_without_a_checkpoint_begins_at_the_beginning(uninterrupted, tmp_path):
    assert main(["train", "tiny", "--out", "a", "--resume"]) == 0
    same(tmp_path / "a", uninterrupted)


@pytest.fixture
def clock(monkeypatch):
    """Every look at it takes a second."""
    seconds = iter(range(10_000))
    monkeypatch.setattr("mpl_diffusion.training.runs.time.monotonic", lambda: next(seconds))


def test_checkpoints_come_by_the_clock(monkeypatch, clock):
    steps = []
    save = tiny_recipe.Trainer.save
    monkeypatch.setattr(tiny_recipe.Trainer, "save", lambda self, *a: (steps.append(self.step), save(self, *a)))
    train("tiny", out="a", steps=14, every=4)
    assert steps == [4, 8, 12, 14]


KILLER = """
import os, random, signal, sys, time
import tiny_recipe, torch
from mpl_diffusion.files import load_tensors
from mpl_diffusion.training.runs import train
out, steps, rng, killed = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3])), 0
torch.set_num_threads(1)
tiny_recipe.join_the_others()
sys.stdout = open(os.devnull, "w")
run = lambda every: train("tiny", out=out, steps=steps, resume=True, every=every)
train("tiny", out=out + ".warm", steps=1)  # or every child would import what an optimizer's first step does
for life in range(40):
    read, tiny_recipe.pipe = os.pipe()
    if not (child := os.fork()):
        os._exit(run(every=0))
    os.close(tiny_recipe.pipe)
    for _ in range(rng.randrange(12)):  # so many steps, and then somewhere on the way
        os.read(read, 1)
    time.sleep(rng.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(read)
    killed += os.WIFSIGNALED(status)
    if killed == 20 or status and not os.WIFSIGNALED(status):
        break
tiny_recipe.pipe = None
begun = int(load_tensors(out + "/checkpoint.safetensors")[1]["step"])
code = run(every=30)
print(killed, begun, code, file=sys.__stdout__)
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork each of twenty runs would import torch anew")
def test_killed_at_twenty_random_moments_it_resumes_and_ends_with_the_weights_of_an_uninterrupted_run(tmp_path):
    steps, seed = 600, int.from_bytes(os.urandom(4), "big")
    killer = [sys.executable, "-c", KILLER, str(tmp_path / "killed"), str(steps), str(seed)]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(killer, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert ran.returncode == 0, ran.stderr
    killed, begun, code = map(int, ran.stdout.split())
    assert killed == 20 and 0 < begun < steps and code == 0, f"seed {seed}: {ran.stderr}"
    train("tiny", out=tmp_path / "whole", steps=steps)
    same(tmp_path / "killed", tmp_path / "whole")
    assert not list((tmp_path / "killed").glob("*.part"))


# ----------------------------------------------------------------------------------- two trainers, and what comes after


measured = []  # what the measure of a pair saw


def pair(steps=40, batch=16, *, seed=0, device="cpu", precision=None, compile=False, facts=None):
    """A recipe of two trainers in turns, whose weights are rounded when all is done."""
    torch.manual_seed(seed)
    generator, critic = pair_model(), nn.Linear(2, 1)
    trainer = AlternatingTrainer(
        Trainer(generator, lambda x: -critic(generator(torch.randn_like(x))).mean(), warmup=5),
        Trainer(critic, lambda x: hinge_loss(critic(x), critic(generator(torch.randn_like(x)).detach())), warmup=5),
    )
    data = tiny_recipe.Reported(tiny_recipe.DATA, size=batch, seed=seed)

    def measure(model):
        measured.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"bias": float(model.bias[0])}

    facts = facts or {"latents": "those"}
    return recipes.Recipe(trainer, data, steps, "random points", measure, None, recipes.round_to_half, facts)


def pair_model():
    return nn.Linear(2, 2)


@pytest.fixture
def a_pair(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, "pair", pair)
    monkeypatch.setitem(models.MODELS, "pair", pair_model)
    measured.clear()


def test_trainers_that_take_turns_stop_and_go_on_exactly_too(a_pair, tmp_path, capsys, monkeypatch):
    assert train("pair", out="whole") == 0
    monkeypatch.setattr(tiny_recipe, "interrupted_at", 7)
    assert main(["train", "pair", "--out", "a"]) == 130
    assert load_tensors("a/checkpoint.safetensors")[1]["step"] == "7"
    monkeypatch.setattr(tiny_recipe, "interrupted_at", None)
    assert main(["train", "pair", "--out", "a", "--resume"]) == 0
    assert "pair: step 7 of 40, each 16 of 64 rows (random points), float32 on 1 x cpu" in capsys.readouterr().out
    same(tmp_path / "a", tmp_path / "whole")


def test_weights_are_finished_before_they_are_measured_and_the_checkpoint_is_not(a_pair, tmp_path):
    assert train("pair", out="a", steps=6) == 0
    weights, header = load_tensors("a/weights.safetensors")
    checkpoint, _ = load_tensors("a/checkpoint.safetensors")
    for name, tensor in weights.items():
        raw = checkpoint[f"0.ema.{name}"]
        assert tensor.dtype == torch.half and torch.equal(tensor, raw.half()) and not torch.equal(tensor.float(), raw)
        assert torch.equal(measured[0][name], tensor.float())
    assert json.loads(header["quality"]) == {"bias": float(weights["bias"][0])}
    model = load("a/weights.safetensors")
    assert all(torch.equal(p, weights[name].float()) for name, p in model.named_parameters())
    Path("a/weights.safetensors").unlink()
    assert train("pair", out="a", steps=6, resume=True) == 0
    again, other = load_tensors("a/weights.safetensors")
    assert other == header and all(torch.equal(again[name], tensor) for name, tensor in weights.items())


def test_weights_that_half_precision_would_change_stay_in_full(tmp_path):
    train("tiny", out="a", steps=3)
    assert {tensor.dtype for tensor in load_tensors("a/weights.safetensors")[0].values()} >= {torch.float32}


def test_a_recipes_own_facts_stand_in_checkpoint_and_weights_and_others_are_refused(a_pair, capsys, monkeypatch):
    assert train("pair", out="a", steps=2) == 0
    for file in ("checkpoint", "weights"):
        header = load_tensors(f"a/{file}.safetensors")[1]
        assert header["latents"] == "those" and len(header["data_sha256"]) == 64
    monkeypatch.setitem(recipes.RECIPES, "pair", lambda **how: pair(**how, facts={"latents": "others"}))
    error = failing(capsys, "pair", "--out", "a", "--steps", "2", "--resume")
    assert "is of another run: it has latents = those and not others" in error
    monkeypatch.setitem(recipes.RECIPES, "pair", lambda **how: pair(**how, facts={"data_sha256": "told"}))
    assert train("pair", out="b", steps=2) == 0
    assert load_tensors("b/weights.safetensors")[1]["data_sha256"] == "told"


def test_a_run_begins_with_the_weights_it_is_given_says_so_and_resumes(uninterrupted, monkeypatch):
    first = uninterrupted / "weights.safetensors"
    given, seen, turn = load(first).state_dict(), [], Trainer.turn

    def noted(trainer, *args):
        seen.append([copy.deepcopy(model.state_dict()) for model in (trainer.model, trainer.ema)])
        return turn(trainer, *args)

    monkeypatch.setattr(Trainer, "turn", noted)
    assert main(["train", "tiny", "--out", "a", "--begin", str(first), "--seed", "1", "--steps", "5"]) == 0
    for state in seen[0]:
        assert all(torch.equal(tensor, given[name]) for name, tensor in state.items())
    header = load_tensors("a/weights.safetensors")[1]
    assert (header["begin"], header["steps"]) == (digest(given, {}), "5")
    assert load_tensors(first)[1]["begin"] == "new weights"
    shutil.copytree("a", "again")
    assert train("tiny", out="again", begin=first, seed=1, steps=5, resume=True) == 0
    same(Path("a"), Path("again"))


def test_trainers_that_take_turns_begin_with_weights_too(a_pair):
    assert train("pair", out="a", steps=2) == 0
    assert train("pair", out="b", steps=1, begin="a/weights.safetensors") == 0
    assert load_tensors("b/weights.safetensors")[1]["begin"] == digest(load("a/weights.safetensors").state_dict(), {})


# ----------------------------------------------------------------------------------- what is refused


def failing(capsys, *line):
    assert main(["train", *line]) == 1
    return capsys.readouterr().err


def test_an_unknown_recipe_gets_the_list_of_those_there_are(capsys):
    assert "train: no recipe is called 'mnst'; there are 'mnist', 'digit-classifier'" in failing(capsys, "mnst")


@pytest.mark.parametrize("file", ["checkpoint", "weights"])
def test_a_folder_in_use_is_left_alone_without_resume(capsys, file):
    assert main(["train", "tiny", "--out", "a"]) == 0
    for other in {"checkpoint", "weights"} - {file}:
        Path(f"a/{other}.safetensors").unlink()
    before = Path(f"a/{file}.safetensors").read_bytes()
    assert f"{file}.safetensors is there already: go on with --resume, or start anew" in failing(
        capsys, "tiny", "--out", "a"
    )
    assert Path(f"a/{file}.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "line, difference",
    [
        (["--seed", "1"], "seed = 0 and not 1"),
        (["--steps", "41"], "steps = 40 and not 41"),
        (["--batch", "8"], "batch = 16 and not 8"),
        (["data"], "data_sha256 = "),
        (["recipe"], "recipe = tiny and not other"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(uninterrupted, capsys, line, difference, monkeypatch):
    name = "tiny"
    if line == ["data"]:
        monkeypatch.setattr(tiny_recipe, "DATA", -tiny_recipe.DATA)
        line = []
    if line == ["recipe"]:
        monkeypatch.setitem(recipes.RECIPES, "other", tiny_recipe.tiny)
        name, line = "other", []
    error = failing(capsys, name, "--resume", "--out", str(uninterrupted), *line)
    assert "checkpoint.safetensors is of another run: it has " + difference in error and "start anew" in error


def test_a_checkpoint_that_began_with_other_weights_is_refused(uninterrupted, capsys):
    first, again = str(uninterrupted / "weights.safetensors"), ("tiny", "--steps", "2", "--resume", "--out")
    assert train("tiny", out="a", begin=first, steps=2) == 0
    assert " and not new weights. Go on with that" in failing(capsys, *again, "a")
    assert "it has begin = " in failing(capsys, *again, "a", "--begin", "a/weights.safetensors")
    assert train("tiny", out="b", steps=2) == 0
    assert "it has begin = new weights and not " in failing(capsys, *again, "b", "--begin", first)


def test_weights_of_another_model_or_of_none_are_no_beginning(uninterrupted, a_pair, capsys):
    first = str(uninterrupted / "weights.safetensors")
    error = failing(capsys, "pair", "--out", "a", "--begin", first)
    assert f"begin = '{first}' holds another model: its parameters have other names or shapes than pair's" in error
    assert "there is no file nowhere.safetensors" in failing(capsys, "tiny", "--begin", "nowhere.safetensors")
    assert not Path("a").exists()


def test_a_damaged_checkpoint_is_named_with_the_cure(capsys):
    assert main(["train", "tiny", "--out", "a"]) == 0
    file = Path("a/checkpoint.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    error = failing(capsys, "tiny", "--out", "a", "--resume")
    assert "checkpoint.safetensors is damaged" in error and "delete it" in error


def test_a_device_that_is_not_there_is_named(capsys):
    device = next(d for d in ("mps", "cuda") if not getattr(torch, d).is_available())
    assert f"torch sees no '{device}' here; it sees " in failing(capsys, "tiny", "--device", device)


@pytest.mark.parametrize(
    "line, message",
    [
        (["--seed", "-1"], "seed = -1; expected a whole number, from 0 to 4294967295"),
        (["--seed", str(10**30)], "seed = 1000000000000000000000000000000; expected a whole number"),
        (["--threads", str(10**11)], "threads = 100000000000; expected a whole number, from 1 to 1024"),
        (["--begin", "notes.txt"], "no model is called 'notes.txt'; there are 'mnist', "),
    ],
)
def test_numbers_beyond_what_torch_takes_are_refused(line, message, capsys):
    assert message in failing(capsys, "tiny", *line)
    assert not Path("runs").exists()


def test_a_full_disk_is_said_of_the_file_that_did_not_fit(capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mpl_diffusion.files.os.fsync", full)
    said = failing(capsys, "tiny", "--out", "a", "--steps", "2")
    assert "a/checkpoint.safetensors: the disk is full: free some space" in said and said.count("\n") == 1
    assert list(Path("a").iterdir()) == []


@pytest.mark.parametrize("line", [["--steps", "0"], ["--batch", "-1"], ["--threads", "two"], ["--precision", "fp8"]])
def test_numbers_that_are_none_are_refused(line):
    with pytest.raises(SystemExit):
        main(["train", "tiny", *line])


def test_options_reach_the_recipe_and_those_left_out_are_its_own(monkeypatch):
    seen = []
    monkeypatch.setitem(recipes.RECIPES, "tiny", lambda **options: seen.append(options) or tiny_recipe.tiny(steps=1))
    before = torch.get_num_threads()
    assert main(["train", "tiny", "--out", "a"]) == 0
    assert torch.get_num_threads() == before
    full = "--steps 2 --batch 4 --seed 5 --precision bfloat16 --compile --threads 3 --device cpu"
    assert main(["train", "tiny", "--out", "b", *full.split()]) == 0
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
    cpu = torch.device("cpu")
    assert seen[1] == dict(steps=2, batch=4, seed=5, precision="bfloat16", compile=True, device=cpu)
    assert seen[0] == dict(device=cpu if not torch.cuda.is_available() else torch.device("cuda", 0))


# ----------------------------------------------------------------------------------- when it goes wrong


def test_a_run_that_diverges_keeps_the_last_good_checkpoint(monkeypatch, clock):
    monkeypatch.setattr(tiny_recipe, "explode_after", 205)
    with pytest.raises(ValueError, match=r"the run has diverged: at step 256 .*The last good checkpoint is in a"):
        train("tiny", out="a", steps=400, every=10)
    assert 195 < int(load_tensors("a/checkpoint.safetensors")[1]["step"]) <= 205
    assert not Path("a/weights.safetensors").exists()


def test_what_a_killed_process_left_half_written_is_swept_away():
    Path("a").mkdir()
    Path(f"a/checkpoint.safetensors.{'0a' * 16}.part").write_bytes(b"half")
    for other in ("film.mp4.part", "checkpoint.safetensors.0123.part", f"mine.safetensors.{'0a' * 16}.part"):
        Path("a", other).write_bytes(b"somebody else's")
    save_tensors("a/mine.safetensors", {"x": torch.zeros(1)}, {})
    assert train("tiny", out="a", steps=1) == 0
    assert sorted(f.name for f in Path("a").iterdir()) == [
        "checkpoint.safetensors",
        "checkpoint.safetensors.0123.part",
        "film.mp4.part",
        "mine.safetensors",
        f"mine.safetensors.{'0a' * 16}.part",
        "weights.safetensors",
    ]


def rewritten(without=(), header=None, reshape=None, path="a/checkpoint.safetensors"):
    """The checkpoint of a run, with some tensors or header entries left out or changed."""
    tensors, facts = load_tensors(path)
    facts = {**{k: v for k, v in facts.items() if k != "format"}, **(header or {})}
    kept = {name: t for name, t in tensors.items() if not name.startswith(tuple(without) or ("none of them",))}
    if reshape:
        kept[reshape] = kept[reshape][:-1]
    save_tensors(path, kept, {k: v for k, v in facts.items() if v is not None})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"without": ["losses"]}, "it lacks losses"),
        ({"without": ["ema."]}, "it lacks ema."),
        ({"without": ["rng"]}, "it lacks rng"),
        ({"without": ["adam."]}, "it lacks adam."),
        ({"without": ["adam.0.exp_avg_sq"]}, "it lacks adam.0.exp_avg_sq"),
        ({"reshape": "ema.net.out.bias"}, "ema.net.out.bias has another shape"),
        ({"reshape": "adam.0.exp_avg"}, "adam.0.exp_avg has another shape"),
        ({"reshape": "rng"}, "rng has another shape"),
        ({"header": {"step": "many"}}, "its step is 'many'"),
        ({"header": {"step": None}}, "it has no step"),
        ({"header": {"step": "3"}}, "losses after 3 steps"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(change, message, capsys):
    assert train("tiny", out="a", steps=20) == 0
    rewritten(**change)
    assert main(["train", "tiny", "--out", "a", "--steps", "20", "--resume"]) == 1
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_weights_given_as_a_checkpoint_are_named(capsys):
    assert train("tiny", out="a", steps=20) == 0
    Path("a/weights.safetensors").replace("a/checkpoint.safetensors")
    rewritten(header={"processes": "1", "step": None})
    assert main(["train", "tiny", "--out", "a", "--steps", "20", "--resume"]) == 1
    assert "is no checkpoint (it has no step)" in capsys.readouterr().err


def test_going_on_in_another_precision_is_said(capsys, monkeypatch):
    monkeypatch.setattr(tiny_recipe, "interrupted_at", 7)
    assert train("tiny", out="a", precision="float32") == 130
    monkeypatch.setattr(tiny_recipe, "interrupted_at", None)
    assert train("tiny", out="a", precision="bfloat16", resume=True) == 0
    assert "trained in float32; the run goes on in bfloat16" in capsys.readouterr().out


@pytest.mark.parametrize(
    "make, out, message",
    [
        (lambda: Path("file").write_text("x"), "file", "file is a file; expected a folder"),
        (lambda: Path("file").write_text("x"), "file/inside", "file is a file; expected a folder"),
        (lambda: os.symlink("nowhere", "link"), "link/inside", "link is a link that leads nowhere"),
        (lambda: None, "/proc/no/folder", "no file can be made there: name another --out"),
        (lambda: None, "x" * 300, "that name is too long: name another --out"),
        (lambda: None, " ", "out = ' '; expected a folder"),
        (lambda: os.symlink("nowhere", "link"), "link", "is a link that leads nowhere"),
        (lambda: None, "", "out = ''; expected a folder"),
    ],
)
def test_a_folder_that_cannot_be_one_is_named_in_one_line(make, out, message, capsys):
    make()
    assert main(["train", "tiny", "--out", out, "--steps", "2"]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "number, message", [("ENOSPC", "the disk is full"), ("EROFS", "is read-only"), ("EACCES", "may not read or write")]
)
def test_what_the_system_refuses_on_the_way_ends_in_one_line_and_loses_nothing(number, message, capsys, monkeypatch):
    assert train("tiny", out="a", steps=20) == 0
    before = Path("a/checkpoint.safetensors").read_bytes()

    def refuse(*_):
        raise OSError(getattr(errno, number), "refused", "a/checkpoint.safetensors")

    monkeypatch.setattr("mpl_diffusion.training.trainer.save_tensors", refuse)
    assert main(["train", "tiny", "--out", "a", "--steps", "20", "--resume"]) == 1
    said = capsys.readouterr().err
    assert message in said and "--out" in said and said.count("\n") == 1
    assert Path("a/checkpoint.safetensors").read_bytes() == before
