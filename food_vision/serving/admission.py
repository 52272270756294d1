"""How many photos may be inside at once, and when a place is free again."""

from types import TracebackType

from food_vision.errors import Overloaded


class Admission:
    """A bounded number of places; past it, callers are refused at once instead of queued for ever.

    Used from the event loop only.

    Args:
        limit: Places there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def place(self) -> "Place":
        """Take a place.

        Raises:
            Overloaded: when none is free.
        """
        if self.taken >= self.limit:
            raise Overloaded(internal=f"all {self.limit} places are taken")
        self.taken += 1
        return Place(self)


class Place:
    """One photo's place, held by its caller and by every thread that works for it.

    A caller who leaves lets go of the place, but a thread cannot be stopped half way: the place counts as taken until
    the last holder has let go. Otherwise callers who give up early could start more work than there are processors.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._holders = 0

    def hold(self) -> None:
        """Add a holder."""
        self._holders += 1

    def let_go(self) -> None:
        """Take a holder away; the last one gives the place back."""
        self._holders -= 1
        if self._holders == 0:
            self._admission.taken -= 1

    def __enter__(self) -> "Place":
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
