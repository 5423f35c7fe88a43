"""Copies of Azure's messages: what a context is put on, so that the program's own stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from azure.eventhub import EventData
from azure.servicebus import ServiceBusMessage

from asyncdsm.integration.formats.azure import copy_message


class Message:
    """One of the classes that are known: all of its state is attributes."""

    def __init__(self) -> None:
        self.body = b"body"
        self.properties = {"a": 1}


class Sub(Message):
    """A program's own."""

    note = "of the class"


class Slotted(Message):
    """Has state that `vars` does not see."""

    __slots__ = ("extra",)


class OnlySlots:
    """Has no attributes of the usual kind at all."""

    __slots__ = ("body",)


class Copying(Message):
    """Says itself how it is copied."""

    copies = 0

    def __copy__(self) -> Copying:
        made = Copying()
        made.body = self.body
        made.copies = self.copies + 1
        return made


class Refusing(Message):
    """Cannot be copied."""

    def __copy__(self) -> Refusing:
        raise TypeError("not to be copied")


def copy(message: Any) -> Any:
    return copy_message(message, (Message,))


@pytest.mark.parametrize("kind", [Message, Sub, Slotted])
def test_copy_is_shallow_of_the_same_class_and_independent(kind: type[Message]) -> None:
    message = kind()
    message.added = "by the program"  # type: ignore[attr-defined]
    made = copy(message)
    assert type(made) is kind
    assert vars(made) == vars(message)
    assert made.properties is message.properties
    vars(made).update(body=b"other", later=True)
    assert message.body == b"body"
    assert "later" not in vars(message)


def test_copy_keeps_what_is_in_slots() -> None:
    message: Any = Slotted()
    only_slots: Any = OnlySlots()
    message.extra, only_slots.body = "extra", b"body"
    assert copy(message).extra == "extra"
    assert copy(only_slots).body == b"body"
    assert not hasattr(copy(Slotted()), "extra"), "a slot that is empty stays empty"


def test_subclass_is_copied_as_it_says_itself() -> None:
    made = copy(Copying())
    assert (type(made), made.copies) == (Copying, 1)


def test_error_of_a_subclass_that_refuses_is_the_callers_to_handle() -> None:
    with pytest.raises(TypeError, match="not to be copied"):
        copy(Refusing())


def test_constructor_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message()
    monkeypatch.setattr(Message, "__init__", lambda self, required: None)
    assert vars(copy(message)) == vars(message)


@pytest.mark.parametrize(
    "message", [ServiceBusMessage("body", subject="s"), EventData("body")], ids=lambda message: type(message).__name__
)
def test_known_class_of_each_client_is_copied_as_copy_does(message: Any) -> None:
    """`known` may name only classes without slots and without a `__copy__` or a `__reduce__` of their own."""
    for original in (message, message.raw_amqp_message):
        kind = type(original)
        made = copy_message(original, (kind,))
        assert vars(made) == vars(original)
        assert not [cls for cls in kind.__mro__[:-1] if vars(cls).get("__slots__")]
        for name in ("__copy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"):
            assert getattr(kind, name, None) is getattr(object, name, None), name
