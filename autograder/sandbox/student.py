"""What a hidden check may ask of a student's program: the `Student` protocol, and how asking can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class StudentError(Exception):
    """The student's code raised. `kind` is the exception's class name, `message` its text, cleaned and cut.

    `trace` is the end of the traceback, for instructors only: it may hold hidden inputs.
    `label` names the cell that was being executed, empty outside of the program's cells.
    """

    def __init__(self, kind: str, message: str = "", trace: str = "") -> None:
        self.kind, self.message, self.trace = kind, message, trace
        self.label = ""
        super().__init__(f"{kind}: {message}" if message else kind)


class BoxLost(StudentError):
    """The box is dead; whatever is asked of it later raises the same again. Never raised as such, only its kinds."""


class StudentTimeout(BoxLost):
    """The student's code used up its time. A timeout with little CPU used is the machine's doing: try again.

    cpu_s, wall_s: what the exercise, or the cells of the program, had used by then.
    """

    def __init__(self, message: str, cpu_s: float = 0.0, wall_s: float = 0.0) -> None:
        self.cpu_s, self.wall_s = cpu_s, wall_s
        super().__init__("TimeoutError", message)


class StudentCrashed(BoxLost):
    """The player's process ended: os._exit, a segmentation fault, or the memory limit."""


class Tampered(BoxLost):
    """The player broke the protocol."""


@dataclass(frozen=True)
class Observation:
    """What a recorder in the player saw: evidence for a person, never points."""

    max_numel: int  # elements of the largest tensor that an operator returned
    operators: Mapping[str, int]  # how often each ATen operator ran
    shares: frozenset[tuple[str, str]]  # (part of the result, argument) that share memory; "" is the result itself
    modified: frozenset[str]  # arguments that were changed in place: "0" the first, "0.a" its part, "x" a keyword
    drew: frozenset[str]  # which global generators moved: torch, numpy, random
    bound: frozenset[str]  # names of the program that the call bound anew: state that it keeps


Table = list[tuple[str, tuple[int, ...], bool]]  # of a module's parameters: name, shape, requires_grad


class Call:
    """The arguments of one call, of several that are asked for at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class StudentObject(Protocol):
    """A proxy of an object in the player: callable, good as an argument, never equal to a value (that raises StudentError).

    `kind` is module, iterator, callable or object. An iterator is iterated over the line, one value at a time.
    """

    kind: str
    type_name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def each(self, calls: Sequence[Call]) -> Iterator[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def call(self, method: str, *args: Any, **kwargs: Any) -> Any: ...
    def get(self, name: str) -> Any: ...
    def set(self, name: str, value: Any) -> None: ...
    def part(self, name: str) -> StudentObject: ...
    def value(self) -> Any: ...


class StudentModule(StudentObject, Protocol):
    """A torch Module that lives in the player. Calling it is differentiable in the referee."""

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None: ...
    def load_soon(self, state: Mapping[str, Tensor], expect: Callable[[Table], None] | None = None) -> None: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def named_parameters(self) -> list[tuple[str, Tensor]]: ...
    def parameters(self) -> list[Tensor]: ...
    def param_table(self) -> Table: ...
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

    def each(self, name: str, calls: Sequence[Call]) -> Iterator[Any]:
        """Call the student's function with each of these arguments, now, and return an iterator of the values.

        As fn(name)(...) for each, in one trip: what a call raises is raised in the place of its value. A box that dies
        meanwhile raises at once.
        """
        ...

    def together(self, asked: Sequence[tuple[str | StudentObject, Call]]) -> Iterator[Any]:
        """Call different things, functions by their names and objects, in one trip, as `each` does."""
        ...

    def module(self, name: str, *args: Any, **kwargs: Any) -> StudentModule:
        """Construct the student's Module class and return its proxy."""
        ...

    def make(self, name: str, *args: Any, **kwargs: Any) -> StudentObject:
        """Construct any object in the player and return its proxy, good as an argument of later calls."""
        ...

    def get(self, name: str) -> Any:
        """Return a value of the program's namespace; proxies stand for what is not plain data."""
        ...

    def make_soon(self, name: str, *args: Any, **kwargs: Any) -> StudentObject:
        """Construct an object on the way of the next request; what constructing it raises, that raises."""
        ...

    def module_soon(self, name: str, *args: Any, **kwargs: Any) -> StudentModule:
        """Construct a module on the way of the next request; what constructing it raises, that raises."""
        ...

    def keep(self, value: Any) -> StudentObject:
        """Put a value into the player and return its proxy: a parameter that an optimizer of the student's shall step."""
        ...

    def seed(self, seed: int) -> None:
        """Seed the player's random number generators: torch, numpy and random."""
        ...

    def file(self, name: str, data: bytes) -> str:
        """Write a file where the player may read it and return its path there."""
        ...

    def iter(self, name: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Call a generator function and return its values one by one."""
        ...

    def observe(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, Observation]:
        """Call a function under a recorder in the player."""
        ...

    def source(self, name: str) -> str:
        """Return the text of the program's last definition of the name, "" if there is none. Nothing is asked of the player."""
        ...

    def mentions(self, name: str) -> frozenset[str]:
        """Return the dotted names that the definition, and what it uses of the program's own, mentions. Evidence, never points."""
        ...
