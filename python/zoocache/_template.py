"""Dependencies given as `deps=`: constant tags, templates such as `"user:{user_id}"`, callables.

A template's values never climb out of their segment and never make a tag invalid: what a tag may
not contain is percent-encoded. A tag that would be too long has its long segments replaced by
hashes. So that an invalidation of a parent still finds it, a template then depends on the tag of
every prefix as `join_segments` writes it for that prefix alone:

    "org:{org}:{path}"   path too long   ->   org:acme:%~1F…        (its parents are prefixes of it)
                         org is long too ->   org:<long org> and org:%~88…:%~1F…

Thread-safety: everything here is immutable after construction.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from zoocache._errors import InvalidOption, InvalidTag, shown
from zoocache._options import check_callable

if TYPE_CHECKING:
    from zoocache._signature import SignatureData

MAX_TAG_LENGTH = 256
MAX_SEGMENTS = 64

_HASH_LENGTH = len("%~") + 32

# What a segment cannot hold: `\s` are the whitespace characters of Unicode.
_UNSAFE = re.compile(r"[\s:%|\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FIELD = re.compile(r"(?P<name>[^\W\d]\w*)(?P<path>(?:\.[^\W\d]\w*|\[[^\[\]]+\])*)")
_STEP = re.compile(r"\.(?P<attribute>\w+)|\[(?P<index>[^\]]+)\]")


def encode_segment(value: str, max_length: int = MAX_TAG_LENGTH) -> str:
    """Makes any text one segment of a tag.

    Args:
        value: any str, lone surrogates included.
        max_length: in characters; what is longer after encoding becomes `%~` and a hash.

    Returns:
        The text with `:`, `%`, `|`, whitespace, control characters and surrogates percent-encoded
        (UTF-8 bytes, upper-case hexadecimal); `%` for the empty text.
    """
    if not value:
        return "%"
    encoded = _UNSAFE.sub(_percent_encode, value)
    return encoded if len(encoded) <= max_length else _hashed(value)


def _percent_encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


_WORD = (1 << 64) - 1


def _hashed(text: str) -> str:
    """`%~` and 128 bits: the same hash as in src/core/tag.cpp, so that both languages agree."""
    halves = [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F]
    for byte in text.encode("utf-8", "surrogatepass"):
        for i, half in enumerate(halves):
            product = (half ^ byte) * 0xD6E8FEB86659FD93
            halves[i] = (((product & _WORD) ^ (product >> 64)) + 0xA0761D6478BD642F) & _WORD
    return f"%~{halves[0]:016X}{halves[1]:016X}"


def join_segments(segments: Sequence[str], max_length: int = MAX_TAG_LENGTH) -> str:
    """Joins encoded segments into a tag that is never too long.

    Depends on nothing but the segments, so that readers and writers get the same tag.
    """
    tag = ":".join(segments)
    if len(tag) <= max_length:
        return tag
    short = ":".join(part if len(part) <= _HASH_LENGTH else _hashed(part) for part in segments)
    return short if len(short) <= max_length else _hashed(tag)


def make_tag(segments: Sequence[Any], max_length: int = MAX_TAG_LENGTH) -> str:
    """The tag of these values: formatted, encoded, joined; the same as a template's.

    Raises:
        InvalidTag: there are none, or more than a tag may have.
    """
    if not 1 <= len(segments) <= MAX_SEGMENTS:
        raise InvalidTag(
            f"tag: {len(segments)} segments; a tag has 1 to {MAX_SEGMENTS} of them, as in "
            "tag('user', user_id)"
        )
    return join_segments(
        [encode_segment(format(value), max_length) for value in segments], max_length
    )


def _tags_of(segments: Sequence[str], max_length: int) -> tuple[str, ...]:
    """The tags to depend on, so that invalidating any prefix is an invalidation."""
    tag = ":".join(segments)
    if len(tag) <= max_length:
        return (tag,)
    wanted = [join_segments(segments[:end], max_length) for end in range(len(segments), 0, -1)]
    kept: list[str] = []
    for candidate in wanted:
        if not any(other == candidate or other.startswith(candidate + ":") for other in kept):
            kept.append(candidate)
    return tuple(kept)


class _Field:
    """One `{parameter.path}`: takes its value from the bound parameter values and encodes it."""

    __slots__ = ("index", "steps")

    def __init__(self, index: int, steps: tuple[tuple[bool, str | int], ...]) -> None:
        self.index = index
        self.steps = steps

    def encoded(self, values: Sequence[Any], max_length: int) -> str:
        value = values[self.index]
        for is_attribute, step in self.steps:
            value = getattr(value, str(step)) if is_attribute else value[step]
        return encode_segment(format(value), max_length)


_Segment = tuple[str | _Field, ...]

# In characters, or what tells it at each call because it can be configured after the decoration.
Limit = int | Callable[[], int]


class Template:
    """A parsed template. Thread-safe.

    Attributes:
        text: as it was written.
    """

    __slots__ = ("_max_length", "_segments", "text")

    def __init__(self, text: str, segments: Sequence[_Segment], max_length: Limit) -> None:
        self.text = text
        self._max_length = max_length
        self._segments = tuple(segments)

    def render(self, values: Sequence[Any]) -> tuple[str, ...]:
        """The tags for one call; `values` are those of all parameters, in order.

        Raises what looking up an attribute or an index, or formatting a value, raises.
        """
        limit = self._max_length if isinstance(self._max_length, int) else self._max_length()
        return _tags_of(
            [
                "".join(
                    part if isinstance(part, str) else part.encoded(values, limit)
                    for part in segment
                )
                for segment in self._segments
            ],
            limit,
        )

    def sample(self) -> str:
        """A tag that is valid if and only if every tag of this template is."""
        return ":".join(
            "".join(part if isinstance(part, str) else "%" for part in segment)
            for segment in self._segments
        )

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def parse_template(
    text: str, parameters: Sequence[str], max_tag_length: Limit = MAX_TAG_LENGTH
) -> Template | None:
    """Parses one entry of `deps=`.

    Args:
        text: a tag, or a template: `{name}`, `{name.attribute}`, `{name[index]}`; `{{` and `}}`
            are braces.
        parameters: the names of the function's parameters, in order.
        max_tag_length: in characters, or a callable that tells it at each call.

    Returns:
        None if there is no brace in it, so that it is a constant tag.

    Raises:
        InvalidTag: the braces make no sense.
        InvalidOption: it names a parameter that the function does not have.
    """
    if "{" not in text and "}" not in text:
        return None
    segments: list[list[str | _Field]] = [[]]
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise InvalidTag(
            f"deps: {shown(text)}: {error}; write {{parameter}}, or {{{{ and }}}} for braces"
        ) from None
    for literal, field, specification, conversion in pieces:
        first, *others = literal.split(":")
        segments[-1].append(first)
        segments.extend([other] for other in others)
        if field is None:
            continue
        if specification or conversion:
            raise InvalidTag(
                f"deps: {shown(text)}: a template takes values as they are, without ! and : in "
                "the braces; compute the tag with a callable instead"
            )
        segments[-1].append(_parse_field(text, field, parameters))
    if len(segments) > MAX_SEGMENTS:
        raise InvalidTag(f"deps: {shown(text)}: more than {MAX_SEGMENTS} segments; join some")
    return Template(text, [tuple(segment) for segment in segments], max_tag_length)


def _parse_field(text: str, field: str, parameters: Sequence[str]) -> _Field:
    match = _FIELD.fullmatch(field)
    if match is None or match["name"] not in parameters:
        name = field if match is None else match["name"]
        raise InvalidOption(
            f"deps: {shown(text)}: the function has no parameter {name!r}; "
            f"its parameters are {', '.join(parameters) or 'none'}"
        )
    steps = []
    for step in _STEP.finditer(match["path"]):
        attribute, index = step["attribute"], step["index"]
        if attribute is not None:
            steps.append((True, attribute))
        else:
            steps.append((False, int(index) if index.isdecimal() else index))
    return _Field(parameters.index(match["name"]), tuple(steps))


def as_tags(deps: Any, what: str = "deps") -> tuple[str, ...]:
    """Reads tags that a user gave: a str is one tag, anything else an iterable of strs.

    Raises:
        TypeError: it is neither, or has an item that is not a str; names it. What iterating
            raises is passed on.
    """
    if isinstance(deps, str):
        return (deps,)
    if isinstance(deps, bytes | bytearray | Mapping) or not isinstance(deps, Iterable):
        raise TypeError(f"{what}: {shown(deps)} is neither a tag (str) nor an iterable of tags")
    tags = tuple(deps)
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"{what}: {shown(tag)} is not a tag; a tag is a str")
    return tags


Kind = Literal["none", "constant", "template", "callable"]


class RenderedDeps:
    """`deps=` with at least one template. Thread-safe."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[str | Template]) -> None:
        self._parts = tuple(parts)

    def __call__(self, values: Sequence[Any]) -> tuple[str, ...]:
        """The tags for a call; `values` are those of all parameters, in order."""
        tags: list[str] = []
        for part in self._parts:
            if isinstance(part, str):
                tags.append(part)
            else:
                tags.extend(part.render(values))
        return tuple(tags)

    def samples(self) -> tuple[str, ...]:
        """Tags that are valid if and only if all that a call can give are."""
        return tuple(part if isinstance(part, str) else part.sample() for part in self._parts)


def compile_deps(
    deps: Any, signature: SignatureData, max_tag_length: Limit = MAX_TAG_LENGTH
) -> tuple[Kind, tuple[str, ...] | RenderedDeps | Callable[..., Any] | None]:
    """Prepares `deps=` at decoration.

    Args:
        deps: None, a tag or template, an iterable of them, or a callable of the call's arguments.
        signature: what analyse returned for the function.
        max_tag_length: in characters, or a callable that tells it at each call.

    Returns:
        `("none", None)`, `("constant", tags)`, `("template", RenderedDeps)` to be called with a
        sequence of the values of all parameters, or `("callable", deps)` to be called with the
        call's arguments, whose result `as_tags` reads. Constant tags are not validated here.

    Raises:
        TypeError: deps is none of these, or has an item that is not a str.
        InvalidTag, InvalidOption: as parse_template.
    """
    if deps is None:
        return "none", None
    if callable(deps):
        return "callable", check_callable("deps", deps)
    texts = as_tags(deps)
    if not texts:
        return "none", None
    templates = [parse_template(text, signature[0], max_tag_length) for text in texts]
    if not any(templates):
        return "constant", texts
    return "template", RenderedDeps(
        [text if made is None else made for text, made in zip(texts, templates, strict=True)]
    )
