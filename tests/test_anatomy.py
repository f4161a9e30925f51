"""What is read off a network beside its maps: attention, the embedding, and the trunk in order."""

import timm
import torch

import explainers as ex
from explainers.network.anatomy import LinearHead
from explainers.pictures import Framing


def read(name: str, size: int) -> ex.Classifier:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=5).eval()
    return ex.wrap(module, framing=Framing(size=(size, size), mode="squash"))


def test_a_vision_transformer_has_one_attention_in_each_block_and_reads_its_embedding_with_the_head():
    model = read("deit_tiny_patch16_224", 224)
    layers = model.anatomy.attention
    assert [(layer.heads, layer.grid, layer.prefix, layer.key_grid) for layer in layers] == [
        (3, (14, 14), 1, (14, 14))
    ] * 12
    assert model.anatomy.pooled == (0,)  # the class token
    assert model.anatomy.embedding is not None
    assert model.module.get_submodule(model.anatomy.embedding.path) is model.module.head
    assert model.anatomy.head is None


def test_a_residual_network_has_no_attention_and_a_linear_head_over_pooled_maps():
    model = read("resnet18", 64)
    assert model.anatomy.attention == ()
    assert isinstance(model.anatomy.head, LinearHead)
    assert torch.equal(model.anatomy.head.weight, model.module.fc.weight)
    paths = [site.point.path for site in model.anatomy.trunk]
    # Eight residual blocks: the outermost name stands for the last block of each stage.
    blocks = ["layer1.0", "layer1", "layer2.0", "layer2", "layer3.0", "layer3", "layer4.0", "layer4"]
    assert [path for path in paths if path.startswith("layer")] == blocks
