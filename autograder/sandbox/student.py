"""What a hidden check may ask of a student's program: the `Student` protocol, and how asking can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class StudentError(Exception):
    """The student's code raised. `kind` is the exception's class name, `message` its text, cleaned and cut."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind, self.message = kind, message
        super().__init__(f"{kind}: {message}" if message else kind)


class StudentTimeout(StudentError):
    """The student's code used up its time."""


class StudentCrashed(StudentError):
    """The player's process ended: os._exit, a segmentation fault, or the memory limit."""


class Tampered(StudentError):
    """The player broke the protocol."""


@dataclass(frozen=True)
class Observation:
    """What a recorder in the player saw: evidence for a person, never points."""

    max_numel: int  # elements of the largest tensor that an operator returned
    operators: Mapping[str, int]  # how often each ATen operator ran


class StudentModule(Protocol):
    """A torch Module that lives in the player. Calling it is differentiable in the referee."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def named_parameters(self) -> list[tuple[str, Tensor]]: ...
    def parameters(self) -> list[Tensor]: ...
    def param_table(self) -> list[tuple[str, tuple[int, ...], bool]]: ...
    def capture(self, names: Sequence[str], *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]: ...
    def train(self, mode: bool = True) -> None: ...
    def eval(self) -> None: ...


class Student(Protocol):
    """A student's program, ready to be asked. Values go in by copy and come back as plain, validated data."""

    def fn(self, name: str, *, return_args: bool = False) -> Callable[..., Any]:
        """Return a callable for the student's function.

        With gradients enabled and an input that requires them, outputs are differentiable in the referee.
        With return_args=True the callable returns (result, the positional arguments as the call left them).
        """
        ...

    def module(self, name: str, *args: Any, **kwargs: Any) -> StudentModule:
        """Construct the student's Module class and return its proxy."""
        ...

    def make(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Construct any object in the player and return a handle, good as an argument of later calls."""
        ...

    def iter(self, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Call a generator function and return its values one by one."""
        ...

    def observe(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        """Call a function under an operator recorder in the player."""
        ...
