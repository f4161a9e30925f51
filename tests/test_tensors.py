"""Knows that tensors, arrays and batches of them are pictures, framed already or not."""

import numpy as np
import pytest
import torch
from networks import small as network

import explainers as ex
from explainers.errors import PictureError, QuestionError
from explainers.pictures import Framing, Picture

SIZE = (24, 32)
FRAMING = Framing(size=SIZE, mode="squash", mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def model(framing=FRAMING, dtype=torch.float32):
    return ex.wrap(network(framing.channel_count).to(dtype), framing=framing)


def picture(height=40, width=50, channels=3, seed=0):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


# Not framed yet ------------------------------------------------------------------------------------------------------


def test_a_tensor_is_the_picture_that_its_array_is():
    one = picture()
    array = one.permute(1, 2, 0).numpy()
    eight = (one * 255).round().byte()
    last = one[None].to(memory_format=torch.channels_last)
    for given in (one, one[None], one.double(), one.clone().requires_grad_(), last, eight, eight[None]):
        read = Picture.read(given)
        assert read.digest == Picture.read(array).digest
        assert read.size == (40, 50)
    gray = picture(channels=1)
    assert Picture.read(gray).digest == Picture.read(gray[0]).digest == Picture.read(gray[0].numpy()).digest
    assert Picture.read(one.half()).size == Picture.read(one.bfloat16()).size == (40, 50)


def test_looking_at_a_tensor_leaves_it_alone():
    c = model()
    given = picture().requires_grad_()
    before, version = given.detach().clone(), given._version
    trace = ex.look(c, given)
    ex.explain(trace, "integrated_gradients")
    assert torch.equal(given.detach(), before)
    assert (given.grad, given._version) == (None, version)
    assert not trace.pixels.requires_grad
    with torch.inference_mode():
        inside = picture()
        logits = ex.look(c, inside).logits
    assert torch.equal(logits, ex.look(c, picture()).logits)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (picture() * 2 - 1, r"\[0, 1\].*framed=True"),
        (picture() * 255, "framed=True"),
        (picture().permute(1, 2, 0), "channels first"),
        (torch.zeros(2, 3, 8, 8), r"ex\.look\(model, batch\)"),
        (torch.zeros(8), "channels x height x width"),
        (torch.zeros(3, 0, 8), "channels x height x width"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (torch.zeros(3, 8, 8, dtype=torch.bool), "bool"),
        (torch.full((3, 8, 8), torch.nan), "NaN"),
    ],
)
def test_tensors_that_are_no_picture_are_refused_in_words(tensor, words):
    with pytest.raises(PictureError, match=words):
        Picture.read(tensor)


# Framed already ------------------------------------------------------------------------------------------------------


def framed(seed=0, framing=FRAMING):
    return framing.normalize(picture(*SIZE, framing.channel_count, seed=seed))


@pytest.mark.parametrize("channels", ["rgb", "bgr", "gray", 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_framed_is_fed_bit_for_bit(channels, dtype):
    c = model(Framing(size=SIZE, channels=channels, mean=0.3, std=0.7), dtype)  # which crops, where a picture comes in
    fed = torch.randn(c.framing.channel_count, *SIZE, generator=torch.Generator().manual_seed(1)).to(dtype)
    seen = []
    hook = c.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    trace = ex.look(c, fed, framed=True)
    logits, slopes = trace.logits, trace.pixel_slopes()
    trace.score(trace.pixels[None].repeat(2, 1, 1, 1))
    hook.remove()
    assert seen
    assert all(torch.equal(one, fed) for batch in seen for one in batch)
    with torch.no_grad():
        assert torch.equal(logits, c.module(fed[None])[0])
    leaf = fed[None].clone().requires_grad_()
    out = c.module(leaf)[0]
    (out[trace.class_index] - out.mean()).backward()
    slope = leaf.grad[0].flip(0) if channels == "bgr" else leaf.grad[0]
    assert torch.allclose(slopes, slope / torch.tensor(0.7, dtype=dtype), rtol=1e-5, atol=1e-9)


def test_heat_lies_on_the_framed_tensor_pixel_for_pixel():
    c = model(Framing(size=SIZE, resize=40))
    answer = ex.explain(ex.look(c, framed(framing=c.framing), framed=True), "gradient")
    assert answer.heat.shape == SIZE
    assert np.array_equal(answer.heat, answer.native)
    shown = answer.picture_asked.array
    assert np.abs(shown / 255 - picture(*SIZE).permute(1, 2, 0).numpy()).max() <= 0.51 / 255


def test_methods_that_read_pixels_take_a_framed_tensor():
    c = model(dtype=torch.float64)
    trace = ex.look(c, framed(), framed=True)
    for name in ("grad_cam", "deeplift", "integrated_gradients", "occlusion", "smooth_grad", "lime", "rise"):
        assert np.isfinite(ex.explain(trace, name).heat).all()
    answer = ex.explain(trace, "deeplift")
    fed, nothing = trace.score(torch.stack([trace.pixels, trace.baseline("gray")]))
    assert float(answer.native.sum(dtype=np.float64)) == pytest.approx(float(fed - nothing), abs=1e-5)  # float32 heat
    assert ex.judge(trace, ex.explain(trace, "grad_cam")).spent.forwards


def test_two_framed_tensors_that_look_alike_are_two():
    one = framed()
    other = one + 1e-5
    c = model()
    assert ex.look(c, one, framed=True).picture.digest != ex.look(c, other, framed=True).picture.digest
    assert ex.look(c, one, framed=True).picture.digest == ex.look(c, one.clone(), framed=True).picture.digest


def test_a_tensor_that_was_normalized_in_another_way_is_fed_and_that_is_said():
    c = model()
    trace = ex.look(c, torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0)) * 9, framed=True)
    assert "normalized in another way" in trace.picture.notes[-1]
    assert ex.look(c, framed(), framed=True).picture.notes == ()


@pytest.mark.parametrize(
    "wrong",
    [
        picture(40, 50),
        framed()[:1],
        framed().byte(),
        torch.full((3, *SIZE), torch.inf),
        framed().numpy(),
        "cat.jpg",
    ],
    ids=["size", "channels", "type", "infinite", "array", "path"],
)
def test_what_is_not_framed_is_refused_in_words(wrong):
    with pytest.raises(PictureError, match=r"\(3, 24, 32\).*framed=True"):
        ex.look(model(), wrong, framed=True)


# Several pictures ----------------------------------------------------------------------------------------------------


def test_batches_and_lists_give_a_trace_for_each():
    c = model()
    batch = torch.stack([picture(seed=seed) for seed in range(3)])
    alone = [ex.look(c, one).logits for one in batch]
    for several in (batch, list(batch), tuple(batch), batch.permute(0, 2, 3, 1).numpy()):
        traces = ex.look(c, several)
        assert [torch.equal(trace.logits, one) for trace, one in zip(traces, alone, strict=True)] == [True] * 3
    assert torch.equal(ex.look(c, batch[:1]).logits, alone[0])  # a batch of one is one
    assert [len(traces) for traces in (ex.look(c, batch[:0]), ex.look(c, []), ex.look(c, [batch[0]]))] == [0, 0, 1]
    fed = c.framing.normalize(torch.stack([picture(*SIZE, seed=seed) for seed in range(2)]))
    traces = ex.look(c, fed, framed=True)
    with torch.no_grad():
        assert torch.equal(torch.stack([trace.logits for trace in traces])[0], c.module(fed[:1])[0])


def test_looking_with_something_that_is_no_classifier_says_so():
    with pytest.raises(QuestionError, match=r"ex\.wrap"):
        ex.look(network(), picture())
