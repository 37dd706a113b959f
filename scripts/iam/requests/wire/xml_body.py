"""Reads XML bodies along AWS's model of them (S3); what the model does not know is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree

from scripts.iam.requests.model import Malformed
from scripts.iam.requests.wire.bounds import within
from scripts.iam.requests.wire.shapes import from_text

if TYPE_CHECKING:
    from botocore.model import ListShape, Shape, StructureShape

Element = ElementTree.Element
_MALFORMED = (
    "The XML you provided was not well-formed or did not validate against our published schema"
)


def read(shape: StructureShape, root_name: str, body: bytes) -> dict[str, Any]:
    """The parameters in an XML body whose root is `root_name`; Malformed as S3 refuses it."""
    root = _parsed(body)
    if _local(root.tag) != root_name:
        raise _malformed(f"the root is not {root_name}")
    return _structure(shape, root)


def _malformed(why: str) -> Malformed:
    return Malformed(f"{_MALFORMED} ({why})", "MalformedXML")


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types, as S3 does: their entities could expand without end."""

    def doctype(self, *_: Any) -> None:
        raise _malformed("it declares a document type")


def _parsed(body: bytes) -> Element:
    try:
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314 - see _Builder
        return ElementTree.fromstring(body, parser=parser)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, Malformed):
            raise
        raise _malformed("it is not XML") from error


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _value(shape: Shape, elements: list[Element]) -> Any:
    if shape.type_name == "list":
        return _list(cast("ListShape", shape), elements)
    if len(elements) > 1:
        raise _malformed(f"{_local(elements[0].tag)} is there twice")
    [element] = elements
    if shape.type_name == "structure":
        return _structure(cast("StructureShape", shape), element)
    if len(element):
        raise _malformed(f"{_local(element.tag)} is not plain text")
    text = element.text or ""
    if shape.type_name != "string":
        text = text.strip()
    try:
        found = from_text(shape.type_name, text, _local(element.tag))
        within(shape, found, _local(element.tag))
        return found
    except Malformed as error:
        raise (error if error.code else _malformed(str(error))) from None


def _list(shape: ListShape, elements: list[Element]) -> list[Any]:
    if shape.serialization.get("flattened"):
        return [_value(shape.member, [element]) for element in elements]
    if len(elements) > 1:
        raise _malformed(f"{_local(elements[0].tag)} is there twice")
    _no_text(elements[0])
    name = shape.member.serialization.get("name", "member")
    for child in elements[0]:
        if _local(child.tag) != name:
            raise _malformed(f"{_local(child.tag)} is not known in {_local(elements[0].tag)}")
    return [_value(shape.member, [child]) for child in elements[0]]


def _no_text(element: Element) -> None:
    texts = [element.text, *(child.tail for child in element)]
    if any(text and text.strip() for text in texts):
        raise _malformed(f"{_local(element.tag)} holds text")


def _structure(shape: StructureShape, element: Element) -> dict[str, Any]:
    _no_text(element)
    groups: dict[str, list[Element]] = {}
    for child in element:
        groups.setdefault(_local(child.tag), []).append(child)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    result: dict[str, Any] = {}
    for name, member in shape.members.items():
        if member.serialization.get("location"):
            continue
        wire = _name(name, member)
        if member.serialization.get("xmlAttribute"):
            if wire.rpartition(":")[2] in attributes:
                result[name] = attributes[wire.rpartition(":")[2]]
        elif wire in groups:
            result[name] = _value(member, groups.pop(wire))
    if groups:
        raise _malformed(f"{min(groups)} is not known in {_local(element.tag)}")
    missing = [name for name in shape.required_members if name not in result]
    if missing:
        raise _malformed(f"{_local(element.tag)} has no {missing[0]}")
    return result


def _name(name: str, member: Shape) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        own = cast("ListShape", member).member.serialization.get("name")
        return cast("str", own or member.serialization.get("name", name))
    return cast("str", member.serialization.get("name", name))
