"""XML answers, for the carriers that take instructions as TwiML or one of its dialects.

Built as a tree and escaped by the library: what a caller chose for a name can become text or an attribute's
value, never an element.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree as Xml

from bridge.carriers.carrier import Reply

# ElementTree escapes, but lets through what XML cannot hold at all; the carrier could not parse the answer. What it can
# hold of control characters besides white space, a terminal would obey.
_NOT_PLAIN: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


_MAX_DIALLED_CHARS: Final = 400


def plain(text: str, max_chars: int) -> str:
    """`text` without control characters, but for white space, and lone surrogates, cut to `max_chars`."""
    return _NOT_PLAIN.sub("", text)[:max_chars]


def verb(tag: str, text: str = "", /, **attributes: str) -> Xml.Element:
    """One element; attributes and text must be `plain` if they come from outside."""
    element = Xml.Element(tag, attributes)
    element.text = text or None
    return element


def dial(to: str) -> Xml.Element:
    """The verb that connects the caller to `to`: a number, or a SIP address, which may not stand there as one."""
    element = verb("Dial")
    element.append(
        verb("Sip" if to.startswith(("sip:", "sips:")) else "Number", plain(to, _MAX_DIALLED_CHARS))
    )
    return element


def document(*verbs: Xml.Element) -> str:
    """The document that has the carrier do `verbs`, one after the other."""
    root = Xml.Element("Response")
    root.extend(verbs)
    return '<?xml version="1.0" encoding="UTF-8"?>' + Xml.tostring(root, encoding="unicode")


def response(*verbs: Xml.Element) -> Reply:
    """That document as an answer to a webhook."""
    return Reply(document(*verbs), "text/xml")
