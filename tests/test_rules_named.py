"""What has no rule is named when much passes through it; and every function of torch is known."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from differing import held
from torch import nn
from torch.overrides import get_testing_overrides

import explainers as ex
from explainers.network.rules.choices import STEPS
from explainers.network.rules.functions import LINEAR, PLAIN, RULES
from explainers.network.rules.opened import opened
from explainers.pictures import Framing

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)


class Swish(torch.autograd.Function):
    """As its authors wrote it, to save memory: its own slope, which no rule sees."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        share = torch.sigmoid(x)
        return grad * share * (1 + x * (1 - share))


class Rounded(torch.autograd.Function):
    """Rounding whose slope is said to be one."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


class Kept(torch.autograd.Function):
    """Twice the input, with the slope that it has: nothing is lost."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


def explained(bend, **options):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.maps, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 3)

        def forward(self, x):
            return self.head(bend(2 * self.maps(x)).mean((2, 3)))

    model = ex.wrap(Network().double().eval(), framing=Framing(size=(12, 12), mode="squash"))
    return ex.explain(ex.look(model, PICTURE), "deeplift", target=0, **options)


NAMED = {
    "sign": torch.sign,
    "round": lambda x: torch.round(x),
    "floor": lambda x: (3 * x).floor() / 3,
    "ceil": lambda x: x.clone().ceil_(),
    "remainder": lambda x: x % 0.25,
    "Swish": lambda x: Swish.apply(3 * x),
    "Rounded": Rounded.apply,
    "detach": lambda x: x + x.detach().square(),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_has_no_rule_is_named(name):
    e = explained(NAMED[name])
    assert f"through `{name}`, for which there is no rule." in e.result.note
    assert e.result.note in e.notes
    assert e.result.adds_up.residual > 0.05


def test_a_rounding_that_hides_behind_a_slope_of_one_is_named():
    e = explained(lambda x: x + (torch.round(x) - x).detach())
    assert "`round`" in e.result.note


def test_the_share_that_is_named_is_what_the_sum_misses():
    e = explained(torch.sign)
    assert e.result.note.startswith("100 % of the difference")  # a step lets nothing through
    half = explained(lambda x: x + 0.3 * torch.sign(x))
    share = round(100 * half.result.adds_up.residual)
    assert half.result.note.startswith(f"{share} % of") or (share > 100 and half.result.note.startswith("More than"))


@pytest.mark.parametrize("bend", [Kept.apply, lambda x: x + 1e-4 * torch.sign(x), torch.tanh])
def test_what_loses_next_to_nothing_is_not_named(bend):
    assert explained(bend).result.note is None


def test_over_several_references_the_share_is_the_mean():
    e = explained(torch.sign, reference="all")
    assert e.result.note.startswith("100 % of the difference passes through `sign`")


def test_a_number_read_off_a_copy_without_a_graph_is_still_a_number():
    def function(x):
        copy = x.detach()
        return x.sum() * float(copy.numpy().shape[0]) + 0 * copy.max().item()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m, *_ = held(function, torch.rand(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    assert m.tolist() == [3, 3, 3]


# Every function ------------------------------------------------------------------------------------------------------

INTEGRATED = """
_fused_rms_norm _native_batch_norm_legit addbmm addr angle as_strided_scatter atan2
binary_cross_entropy_with_logits cholesky_inverse cholesky_solve convolution copysign corrcoef
cosine_embedding_loss cov ctc_loss cumprod cumulative_trapezoid det embedding_bag float_power
fractional_max_pool2d fractional_max_pool3d frexp gradient grid_sampler grid_sampler_2d grid_sampler_3d
hinge_embedding_loss hypot index_reduce inverse kl_div ldexp linalg_cholesky linalg_cholesky_ex linalg_cond
linalg_det linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product linalg_inv
linalg_inv_ex linalg_lstsq linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve linalg_matrix_exp
linalg_matrix_norm linalg_matrix_power linalg_matrix_sqrth linalg_multi_dot linalg_pinv linalg_polar linalg_qr
linalg_slogdet linalg_solve linalg_solve_ex linalg_solve_triangular linalg_svd linalg_svdvals linalg_tensorinv
linalg_tensorsolve linalg_vander lobpcg logaddexp logaddexp2 logcumsumexp logdet lu lu_solve lu_unpack
margin_ranking_loss matrix_exp matrix_power miopen_convolution mode mvlgamma native_batch_norm native_group_norm
native_layer_norm native_norm nextafter norm_except_dim nuclear_norm one_hot orgqr ormqr pca_lowrank pdist
pinverse poisson_nll_loss polar prod renorm scatter_reduce segment_reduce slogdet special_multigammaln
special_xlog1py special_xlogy svd svd_lowrank to_sparse trapezoid trapz triangular_solve triplet_margin_loss xlogy
"""
"""Functions with a slope and without a rule of their own: averaged between the two passes."""

ELSEWHERE = """
__array_wrap__ __complex__ __dlpack__ __dlpack_device__ __ilshift__ __irshift__ __long__ __lshift__ __nonzero__
__rand__ __reduce_ex__ __rlshift__ __ror__ __rrshift__ __rshift__ __rxor__ __setstate__ _assert_async
_autocast_to_full_precision _autocast_to_reduced_precision _clear_non_serializable_cached_data _coalesced_
_conj_copy _dimI _dimV _functional_assert_async _fw_primal_copy _indices _indices_copy _make_dual_copy
_neg_view_copy _nested_tensor_size _nested_tensor_storage_offsets _nested_tensor_strides _nnz
_reshape_alias_copy _rowwise_prune _sparse_broadcast_to_copy _sparse_mask_projection _sym_acos _sym_asin
_sym_atan _sym_cos _sym_cosh _sym_sin _sym_sinh _sym_sqrt _sym_tan _sym_tanh _to_dense _values _values_copy
_wrapped_linear_prepack _wrapped_quantized_linear_prepacked all_gather all_gather_coalesced all_gather_single
all_reduce all_reduce_coalesced all_to_all all_to_all_single apply_ argwhere batch_norm_backward_elemt
batch_norm_backward_reduce batch_norm_elemt batch_norm_gather_stats batch_norm_gather_stats_with_counts
batch_norm_stats batch_norm_update_stats bincount bitwise_left_shift bitwise_right_shift broadcast ccol_indices
ccol_indices_copy char choose_qparams_optimized coalesce col_indices col_indices_copy const_data_ptr crow_indices
crow_indices_copy dequantize dsmm fbgemm_linear_fp16_weight fbgemm_linear_fp16_weight_fp32_activation
fbgemm_linear_int8_weight fbgemm_linear_int8_weight_fp32_activation fbgemm_linear_quantize_weight
fbgemm_pack_gemm_matrix_fp16 fbgemm_pack_quantized_matrix fused_moving_avg_obs_fake_quant gcd geqrf hash_tensor
histc histogram histogramdd hsmm igamma igammac indices indices_copy int_repr ipu irecv is_coalesced
is_distributed is_pinned is_set_to is_signed isclose isend isin isneginf isposinf isreal kaiming_uniform_ lcm
linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve linalg_matrix_rank map2_ map_ miopen_batch_norm
miopen_convolution_add_relu miopen_convolution_relu miopen_convolution_transpose miopen_depthwise_convolution
miopen_rnn mtia nonzero_static q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale
q_zero_point qscheme quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic quantized_batch_norm
quantized_gru_cell quantized_lstm_cell quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d
quantized_rnn_relu_cell quantized_rnn_tanh_cell record_stream recv reduce reduce_scatter reduce_scatter_single
register_post_accumulate_grad_hook resize_as_sparse_ row_indices row_indices_copy saddmm searchsorted send
signbit slice_inverse smm sparse_dim sparse_mask sparse_resize_ sparse_resize_and_clear_ special_airy_ai
special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_chebyshev_polynomial_t
special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w special_gammainc
special_gammaincc special_hermite_polynomial_h special_hermite_polynomial_he special_laguerre_polynomial_l
special_legendre_polynomial_p special_modified_bessel_i0 special_modified_bessel_i1 special_modified_bessel_k0
special_modified_bessel_k1 special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1
special_shifted_chebyshev_polynomial_t special_shifted_chebyshev_polynomial_u
special_shifted_chebyshev_polynomial_v special_shifted_chebyshev_polynomial_w special_spherical_bessel_j0
special_zeta sspaddmm sym_float sym_int sym_ite sym_max sym_min sym_not sym_sum to_mkldnn unique
unique_consecutive values values_copy xpu
"""
"""Functions without a slope in torch itself, on sparse or quantized tensors, between machines, or about a tensor."""


LISTED = set(INTEGRATED.split()), set(ELSEWHERE.split())


def known(name):
    plain = PLAIN.get(name) or PLAIN.get(name.rstrip("_")) or name.rstrip("_")
    return any(one in each for one in (name, plain) for each in (RULES, LINEAR, *LISTED))


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14), reason="the lists here are those of torch 2.14"
)
def test_every_function_that_torch_hands_to_modes_has_its_place():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        functions = [function for function in get_testing_overrides() if not opened(function)]
    assert sorted(name for f in functions if not known(name := getattr(f, "__name__", "__get__"))) == []


def test_no_function_has_two_places():
    for one, other in itertools.combinations((set(RULES), LINEAR, *LISTED), 2):
        assert sorted(one & other) == []
    assert set(STEPS) <= set(RULES)
