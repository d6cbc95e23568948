"""XML answers, for the carriers that take instructions as TwiML or one of its dialects.

Built as a tree and escaped by the library: what a caller chose for a name can become text or an attribute's
value, never an element.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as Xml

from bridge.carriers.carrier import Reply
from bridge.plain_text import plain

_MAX_DIALLED_CHARS: Final = 400


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
