"""torch.quantization: PyTorch's quantisation is not there; see tallow quantize."""

from __future__ import annotations

from tallow.torch._names import namespace

__getattr__, __dir__ = namespace(
    __name__,
    refuses={
        "PyTorch's quantisation is not supported (see tallow quantize)": (
            "quantize quantize_dynamic quantize_qat prepare prepare_qat convert fuse_modules "
            "fuse_modules_qat get_default_qconfig get_default_qat_qconfig default_qconfig QConfig "
            "QuantStub DeQuantStub QuantWrapper default_dynamic_qconfig float16_dynamic_qconfig "
            "per_channel_dynamic_qconfig add_quant_dequant propagate_qconfig_ swap_module "
            "default_observer default_weight_observer default_per_channel_weight_observer "
            "FakeQuantize FakeQuantizeBase MinMaxObserver HistogramObserver "
            "PerChannelMinMaxObserver "
            "MovingAverageMinMaxObserver ObserverBase AffineQuantizedObserverBase "
            "UniformQuantizationObserverBase MovingAveragePerChannelMinMaxObserver NoopObserver "
            "PlaceholderObserver RecordingObserver ReuseInputObserver FixedQParamsObserver "
            "FixedQParamsFakeQuantize FusedMovingAvgObsFakeQuantize QConfigDynamic "
            "ObserverOrFakeQuantize QConfigAny quantize_jit quantize_dynamic_jit fuse_conv_bn "
            "fuse_conv_bn_relu fuse_linear_bn disable_fake_quant disable_observer "
            "enable_fake_quant enable_observer get_default_qconfig_mapping QConfigMapping"
        )
    },
)
