"""Twenty people, one model: each gets, bit for bit, what the same question gives alone."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch
from torch.nn.modules import module as hooks

import explainers as ex
from explainers.pictures import Framing

PEOPLE = 20
SIZE = 32
FRAMING = Framing(size=(SIZE, SIZE), mode="squash")


def resnet():
    block = timm.models.resnet.BasicBlock
    return timm.models.ResNet(block, (1, 1, 1, 1), num_classes=5, channels=(8, 8, 8, 8), output_stride=8)


def vit():
    return timm.models.VisionTransformer(img_size=SIZE, patch_size=8, embed_dim=32, depth=3, num_heads=2, num_classes=5)


def network(build):
    torch.manual_seed(0)
    return build().eval()


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture(autouse=True)
def one_thread_for_each():
    # Torch's own threads would split sums differently from call to call on some machines.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("build", [vit, resnet], ids=lambda build: build.__name__)
def test_twenty_people_get_what_each_would_have_got_alone(build):
    module = network(build)
    model = ex.wrap(module, framing=FRAMING)
    fitting = [m.id for m in ex.methods() if m.lays_heat and not m.why_not(model)]
    # Every method is asked by somebody, and every person asks several in turn.
    turns = -(-len(fitting) // PEOPLE)
    mixed = list(
        itertools.islice(itertools.cycle(zip(fitting, itertools.cycle([0, 3, None]), strict=False)), PEOPLE * turns)
    )

    def answer(number):
        trace = ex.look(model, picture(number % 4))
        mine = mixed[number::PEOPLE]
        return [ex.explain(trace, method, target=target, **few(method)).native for method, target in mine]

    alone = [answer(number) for number in range(PEOPLE)]
    batch = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        plain = module(batch)
    trained_alone = train(network(build), batch)

    begin, done, odd = threading.Barrier(PEOPLE + 2), threading.Event(), []

    def together(number):
        begin.wait()
        return [answer(number) for _ in range(2)]

    def run_bare():
        begin.wait()
        while not done.is_set():
            with torch.no_grad():
                odd.extend([] if torch.equal(module(batch), plain) else ["bare"])

    def train_another():
        begin.wait()
        while not done.is_set():
            odd.extend([] if torch.equal(train(network(build), batch), trained_alone) else ["trained"])

    with ThreadPoolExecutor(PEOPLE + 2) as pool:
        others = [pool.submit(run_bare), pool.submit(train_another)]
        people = [pool.submit(together, number) for number in range(PEOPLE)]
        try:
            answers = [each.result() for each in people]
        finally:
            done.set()
        for other in others:
            other.result()

    assert not odd
    for number, twice in enumerate(answers):
        for natives in twice:
            for native, expected, asked in zip(natives, alone[number], mixed[number::PEOPLE], strict=True):
                assert np.array_equal(native, expected), asked
    assert not hooks._global_forward_hooks
    assert all(p.grad is None for p in module.parameters())


def few(method):
    """Options that take fewer samples than a method takes by itself, where it has such options."""
    found = {o.name: o for o in next(m for m in ex.methods() if m.id == method).options}
    return {name: int(found[name].minimum) for name in ("samples", "designs", "steps") if name in found}


def train(module, batch):
    """The weights after two steps, as one vector. Batch statistics are left alone, so that runs can be compared."""
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        module(batch).square().sum().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_people_who_share_one_trace_share_its_passes():
    module = network(resnet)
    model = ex.wrap(module, framing=FRAMING)
    alone = {c: ex.explain(ex.look(model, picture(0)), "grad_cam", target=c).native for c in range(5)}
    trace, passes = ex.look(model, picture(0)), []
    handle = module.register_forward_hook(lambda *_: passes.append(None))
    with ThreadPoolExecutor(PEOPLE) as pool:
        answers = list(pool.map(lambda i: ex.explain(trace, "grad_cam", target=i % 5), range(PEOPLE)))
    handle.remove()
    assert len(passes) == 1
    assert sum(e.spent.forwards for e in answers) == 1
    assert sum(e.spent.backwards for e in answers) == 5
    for i, e in enumerate(answers):
        assert np.array_equal(e.native, alone[i % 5])


def test_one_who_stops_or_fails_disturbs_nobody():
    model = ex.wrap(network(resnet), framing=FRAMING)
    alone = ex.explain(ex.look(model, picture(1)), "gradient", target=2).native

    def answer(number):
        trace = ex.look(model, picture(1))
        if number % 2:
            with pytest.raises(ex.engine.SightglassError):
                ex.explain(trace, "gradient", target=2, stop=lambda: True)
            return alone
        return ex.explain(trace, "gradient", target=2).native

    with ThreadPoolExecutor(PEOPLE) as pool:
        answers = list(pool.map(answer, range(PEOPLE)))
    assert all(np.array_equal(native, alone) for native in answers)
    assert not hooks._global_forward_hooks
