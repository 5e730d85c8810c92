"""The code that a person reads out: where the sender is, and a secret that a single guess does not find.

`4821-amber-lotus-river` is a place on a server, and three words: 24 bits. It may be short because a PAKE
proves it (see `proof`): to try words one must ask one of the two programs, and both give up after a few.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_LINES = (
    "acorn almond amber anchor apple apron arrow aspen atlas autumn badge bagel bamboo banjo barley basil basket",
    "beacon beaver bench birch biscuit blanket blossom bottle breeze bridge bronze brook bucket butter button cabin",
    "cactus camel candle canoe canyon carbon carpet carrot castle cedar cellar cement cherry chimney cider cinema",
    "circle citrus clover coast coconut coffee comet compass copper coral cotton cradle crater cricket crystal",
    "cushion daisy dancer delta desert dinner dolphin domino donkey dragon drawer drum eagle earring echo eclipse",
    "elbow elephant emerald engine evening fabric falcon feather fennel ferry fiddle flame flannel flute forest",
    "fossil fountain galaxy garden garlic gazelle ginger giraffe glacier globe goblet goose granite grape gravel",
    "guitar hammer harbor harvest hazel hedge helmet herring hickory honey horizon hornet iceberg igloo indigo iron",
    "island ivory jacket jade jasmine jigsaw jungle juniper kayak kettle kitten kiwi ladder lagoon lantern lava",
    "leather lemon lentil lilac linen lion lizard lobster locket lotus magnet mango maple marble meadow melon mercury",
    "mint mirror mitten monkey mosaic moss muffin mustard nectar needle nickel noodle nutmeg oasis ocean olive onion",
    "orange orchid otter oven oyster paddle panda paper parrot pasta peach peanut pebble pelican pepper piano pickle",
    "pilot pine planet plum pocket pollen poppy potato pumpkin puzzle quartz quilt rabbit radish raven reef ribbon",
    "river robin rocket rope saddle saffron salmon sandal sapphire satin saturn sesame shadow shell silver sparrow",
    "spinach spruce squirrel stable sugar summer sunset swan tango teapot temple thistle thunder tiger timber tulip",
    "tunnel turtle umbrella valley vanilla velvet violet walnut whale willow window winter yogurt zebra",
)
WORDS = " ".join(_LINES).split()
COUNT = 3
_CODE = re.compile(
    r"((?P<address>[0-9A-Za-z.:\[\]_-]+:[0-9]{1,5})/)?(?P<place>[0-9]{1,6})-(?P<secret>[a-z]+(-[a-z]+)*)"
)


@dataclass(frozen=True, slots=True)
class Code:
    """A code.

    Attributes:
        place: the digits, which the server sees: they name the room.
        secret: the words, which nobody but the two programs knows.
        address: of the sender, `host:port`, where there is no server; else empty.
    """

    place: str
    secret: str
    address: str = ""

    @property
    def room(self) -> str:
        """Return the room where the two meet."""
        return f"send-{self.place}"

    def __str__(self) -> str:
        return f"{self.address}/{self.place}-{self.secret}" if self.address else f"{self.place}-{self.secret}"

    def __repr__(self) -> str:
        return f"<Code {self.place}>"  # not the secret


def make() -> Code:
    """Return a new code."""
    words = "-".join(secrets.choice(WORDS) for _ in range(COUNT))
    return Code(str(secrets.randbelow(9000) + 1000), words)


def parse(text: str) -> Code:
    """Read a code as a person types it: capitals and blanks do not matter.

    Raises:
        ValueError: it is not one; the error names what is wrong with it, and not the code.
    """
    cleaned = re.sub(r"[\s-]+", "-", text.strip().lower())
    found = _CODE.fullmatch(cleaned)
    if found is None:
        raise ValueError("this is not a code: it has digits and words, such as 4821-amber-lotus-river")
    unknown = [word for word in found["secret"].split("-") if word not in WORDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no word of a code: read it again")
    return Code(found["place"], found["secret"], found["address"] or "")
