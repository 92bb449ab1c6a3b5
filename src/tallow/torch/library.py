"""torch.library: a user's own ops, kept by name and called as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tallow.torch._names import namespace
from tallow.torch.ops import define as _define

__getattr__, __dir__ = namespace(
    __name__,
    decorators="register_vmap register_torch_dispatch",
    refuses={"it is not supported": "opcheck triton_op wrap_triton"},
)


class Library:
    """A set of ops under one name: `define` is noted, `impl` makes the op callable."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, *_: Any, **__: Any) -> str:
        """Note an op by its schema, `name(Tensor x) -> Tensor`."""
        return schema.partition("(")[0].strip()

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", **_: Any) -> None:
        """Let `fn` be the op, unless it is for another device than the CPU, or for shapes alone."""
        key = dispatch_key or self.dispatch_key
        if key in ("", "CPU", "CompositeImplicitAutograd", "CompositeExplicitAutograd"):
            _define(self.ns, str(op_name).rpartition("::")[2], fn)


class CustomOp:
    """An op made by `custom_op`: calls its function; gradients by `register_autograd`."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        self.__name__, self.__doc__ = name.rpartition("::")[2], function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the op."""
        if self._backward is None:
            return self._function(*args, **kwargs)
        from tallow.torch._custom import with_gradient

        return with_gradient(self._function, self._setup, self._backward, args, kwargs)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """The op's gradient: `backward(ctx, *grads)`; `setup_context` keeps what it needs."""
        self._backward, self._setup = backward, setup_context

    def register_fake(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Shapes alone are not asked for here."""
        return fn

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """The op on other devices than the CPU is not called here."""
        kinds = (
            (device_types,) if isinstance(device_types, str) else tuple(device_types or ("cpu",))
        )

        def take(function: Callable[..., Any]) -> Callable[..., Any]:
            if "cpu" in kinds:
                self._function = function
            return function

        return take if fn is None else take(fn)

    register_torch_dispatch = register_kernel


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: Any = (), **_: Any
) -> Any:
    """An op `namespace::name` of a function; reached as `torch.ops.namespace.name`, too."""

    def make(function: Callable[..., Any]) -> CustomOp:
        made = CustomOp(name, function)
        space, _, short = name.partition("::")
        _define(space, short, made)
        return made

    return make if fn is None else make(fn)


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """Let a function be the op on these devices; that of the CPU counts."""
    kinds = (types,) if isinstance(types, str) else tuple(types)

    def take(function: Callable[..., Any]) -> Callable[..., Any]:
        if {k.lower() for k in kinds} & {"cpu", "default", "compositeimplicitautograd"}:
            space, _, short = str(qualname).partition("::")
            _define(space, short, function)
        return function

    return take if func is None else take(func)


def define(qualname: str, schema: Any = None, *, lib: Any = None, tags: Any = ()) -> Any:
    """Note an op."""
    return lambda function: function


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, _stacklevel: int = 1) -> Any:
    """Shapes alone are not asked for here."""
    return (lambda function: function) if func is None else func


impl_abstract = register_fake


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """As `impl`."""
    return impl(op, device_types or "cpu", func)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """The gradient of an op that `custom_op` made."""
    from tallow.torch.ops import lookup

    target = op if isinstance(op, CustomOp) else lookup(*str(op).split("::"))
    if str(op).startswith("torchvision::"):
        return  # ours are made of ops that have gradients
    target.register_autograd(backward, setup_context=setup_context)


def get_ctx() -> Any:
    """There is no tracing of shapes."""
    return None
