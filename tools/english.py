"""Plain English, as far as a program can check it: patterns that make a reader stop, and what to write instead.

`check(path, source)` reads one file and returns what it finds. Texts are Markdown, docstrings and texts of Python, doc
comments and texts of Rust and TypeScript. Code in backticks and in fenced blocks is not read.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Form = Literal["page", "doc", "text"]
"""A page of Markdown; a docstring or doc comment; a string of the program that people may read."""

MAX_WORDS = 30
"""In one sentence."""
MIN_WORDS = 3
"""A string with fewer is a name or a key, not a text."""


@dataclass(frozen=True)
class Text:
    """One text, with the line it begins at."""

    line: int
    form: Form
    body: str


@dataclass(frozen=True)
class Found:
    """One place that should be written anew."""

    line: int
    pattern: str
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.line}: {self.pattern}: {self.words!r}; {self.instead}"


@dataclass(frozen=True)
class Pattern:
    """Words that should not be used, and what to write instead."""

    name: str
    regex: re.Pattern[str]
    instead: str


def _pattern(name: str, instead: str, *regexes: str) -> Pattern:
    return Pattern(name, re.compile("|".join(f"(?:{regex})" for regex in regexes)), instead)


def _words(words: str) -> str:
    """Match one of these, small or at the beginning of a sentence. Words are separated by `|`."""
    return r"\b(?:" + "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}" for word in words.split("|")) + r")\b"


BEFORE_WHO = _words("to|of|for|by|with|from|than|like|unless|if|when|while|because|since")
BEFORE_WHAT = _words("to|of|for|by|with|from|at|in|beyond|under|than|against|beside")
OLD = (
    "for ever|anew|whoever|whosoever|whomever|begun|of its own accord|hence|whence|thence|lest|upon|"
    "whilst|amongst|naught|nought|hitherto|sundry|thus far|thereof|therein|thereby|thereto|herein|whereof|whereby|"
    "wherein|mends|mended|can not|by the letter|come again|comes again|all the same|save for"
)

AT_THE_START = _pattern(
    "a sentence that begins with Who or What",
    "begin with the subject or with a verb",
    r"\A(?:Who|What|Whom|Whoever|Whatever|That which)\b(?![^?]*\?)",
)
PATTERNS = (
    _pattern(
        "a clause as a noun",
        'name the thing or the person first: "a peer that is gone", "the bytes that arrived"',
        rf"{BEFORE_WHO}\s+who\b",
        rf"{BEFORE_WHAT}\s+what\s+(?!to\b|kind\b|order\b|if\b|happens\b)",
        r"\b(?:those|he|one)\s+who\b",
        r"\b(?:that|those)\s+which\b",
    ),
    AT_THE_START,
    _pattern(
        '"stand"',
        '"is open", "is in", "exists", "is listed", "holds"',
        r"\b(?:stands|stood|standing|stand)\b(?!\s+for\b)",
    ),
    _pattern(
        '"no more", "any more"',
        '"no longer", "nothing else", "no further ..."; "at most" with a number',
        r"\b(?:no|any)\s+more\b",
        r"\b[Aa]nymore\b",
    ),
    _pattern(
        '"of ours"',
        '"our ...", "the peer\'s ...", with its noun',
        r"\bof\s+(?:ours|yours|theirs|mine|hers)\b",
        r"\b(?:other\s+side|other|peer)'s(?=\s*(?:[.,;:)]|$))",
    ),
    _pattern(
        '"none"',
        '"not valid", "not one", "no ..."; None is the value alone',
        r"(?<![\"'\w])none\b(?![\"'])",
        r"\bNone (?:of|are|can|may|has)\b",
    ),
    _pattern(
        '"told"',
        "an event is fired, a state is reported, a peer is notified, a person learns or sees",
        r"\b[Tt]old\b",
    ),
    _pattern(
        "an old word",
        "forever, again, anyone who, started, by itself, fixed, cannot, when, here, anyway, reconnect",
        _words(OLD),
    ),
)

FIRST = frozenset(
    {"Who", "Whom", "Whose", "What", "Whatever", "Whoever", "It", "Its", "That", "Which", "They", "Them", "Their", "He"}
    | {"She", "His", "And", "But", "Or", "So", "Because", "Since", "Than", "There", "Of", "To", "By", "With", "From"}
)
"""Words that a docstring does not begin with."""


# --- texts of a file -------------------------------------------------------------------------------------------------


def texts(path: str, source: str) -> Iterator[Text]:
    """All texts of a file that people read.

    Args:
        path: its name says what it is: `.md`, `.py`, `.pyi`, `.rs`, `.ts` or `.mjs`.
        source: its contents.
    """
    if path.endswith(".md"):
        yield Text(1, "page", _page(source))
    elif path.endswith((".py", ".pyi")):
        yield from _python(ast.parse(source))
    elif path.endswith(".rs"):
        yield from _tokens(_RUST.finditer(source.split("\nmod tests {", maxsplit=1)[0]), source)
    else:
        yield from _tokens(_TYPESCRIPT.finditer(source), source)


def _page(source: str) -> str:
    """Markdown without code and addresses; every line stays where it is."""
    source = re.sub(r"(?ms)^( *)(```|~~~).*?^\1\2\s*?$", lambda block: "\n" * block.group().count("\n"), source)
    source = re.sub(r"(?s)<!--.*?-->", lambda block: "\n" * block.group().count("\n"), source)
    source = re.sub(r"\]\([^)\s]*\)", "]", source).replace("<br>", "\0")
    source = re.sub(r"\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|[\[\]]", "", source)
    return "\n".join(line.replace("|", "\0") if line.lstrip().startswith("|") else line for line in source.split("\n"))


def _python(tree: ast.Module) -> Iterator[Text]:
    documents: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):  # its parts are read as one text
            documents.update(node.values)
        for statement in getattr(node, "body", ()) if not isinstance(node, (ast.Lambda, ast.IfExp)) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                documents.add(statement.value)
                if isinstance(statement.value.value, str):
                    yield Text(statement.value.lineno, "doc", statement.value.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            body = "".join(str(part.value) if isinstance(part, ast.Constant) else "`_`" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documents:
            body = node.value
        else:
            continue
        if _is_text(body):
            yield Text(node.lineno, "text", body)


_TYPESCRIPT = re.compile(
    r"(?s)(?P<block>/\*\*.*?\*/)|//[^\n]*|/\*.*?\*/"
    r"|\"(?P<double>(?:\\.|[^\"\\\n])*)\"|'(?P<single>(?:\\.|[^'\\\n])*)'|`(?P<template>(?:\\.|[^`\\])*)`"
)
_RUST = re.compile(
    r"(?s)(?P<lines>(?:^[ \t]*//[/!](?!/)[^\n]*(?:\n|\Z))+)|//[^\n]*|/\*.*?\*/|r#*\".*?\"#*|'(?:\\[^']*|[^\\'])'"
    r"|\"(?P<double>(?:\\.|[^\"\\])*)\"",
    re.MULTILINE,
)


def _tokens(found: Iterator[re.Match[str]], source: str) -> Iterator[Text]:
    for token in found:
        groups = token.groupdict()
        line = source.count("\n", 0, token.start()) + 1
        document = groups.get("block") or groups.get("lines")
        if document:
            body = re.sub(r"(?m)^[ \t]*(?:/\*\*|\*/|\*(?!\*)|//[/!]) ?|\s*\*/\Z", "", document)
            body = re.sub(r"\{@link (\w+)[^}]*\}|\[(`[^`]*`)\]", r"\1\2", body)
            yield Text(line, "doc", body)
            continue
        body = next((groups[name] for name in ("double", "single", "template") if groups.get(name)), "")
        body = re.sub(r"\\\n\s*", " ", body)
        body = re.sub(r"\$\{[^}]*\}|\{[^}]*\}", "`_`", body)
        if _is_text(body):
            yield Text(line, "text", body)


def _is_text(body: str) -> bool:
    """Whether a string of a program is more than a name, a pattern or a piece of another language."""
    if re.search(r"[\\<>^$=]|\(\?|;\s*$|^(?:SELECT|import |a=|m=|v=0)", body):
        return False
    return len(re.findall(r"[A-Za-z]{2,}", body)) >= MIN_WORDS and " " in body.strip()


# --- what is wrong with one -------------------------------------------------------------------------------------------

_CODE = re.compile(r"(?s)```.*?```|``.+?``|`[^`]+`")
_BREAK = re.compile(
    r"\0"
    r"|\n\s*\n"
    r"|\n(?=[^\n]*\S {3,}\S)"
    r"|\n\s*(?=[-*+] |\d+\. |#+ |\*\*\w+\.\*\* )"
    r"|(?m:^#+ .*$)"
    r"|(?m:^\s*\w+(?:\[\w+\])?:(?=\s))"
    r"|(?m:^\s*[-*+] )"
    r"|(?<=[.!?])[\"”»)*]*(?=\s)"
    r"|(?<=[.!?])[\"”»)*]*(?=\Z)"
)


def _sentences(body: str) -> Iterator[tuple[int, str]]:
    """Sentences, with the place where each begins."""
    start = 0
    for end in [*_BREAK.finditer(body), None]:
        sentence = body[start : end.start() if end else len(body)]
        if sentence.strip():
            yield start + len(sentence) - len(sentence.lstrip()), sentence.strip()
        if end:
            start = end.end()


def _blank(code: re.Match[str]) -> str:
    """Put a word in the place of code, as long and with the same lines; a block of code leaves only its lines."""
    mark = " " if code.group().startswith("```") else "`"
    return "".join("\n" if letter == "\n" else mark for letter in code.group())


def _is_drawn(sentence: str) -> bool:
    return bool(re.search(r"[─│▶◀→]|-->|--\w|\|", sentence))


def check_text(text: Text) -> Iterator[Found]:
    """All places of one text."""
    body = _CODE.sub(_blank, text.body)

    def line(offset: int) -> int:
        return text.line + body.count("\n", 0, offset)

    if text.form == "doc":
        first = re.match(r"\s*([A-Za-z']+)", body)
        if first and first.group(1) in FIRST:
            yield Found(
                line(first.start(1)),
                "a first word that is neither a verb nor a noun",
                first.group(1),
                "begin with a verb (Return, Fire, Wait) or with the noun it returns",
            )
    seen = text.form == "doc"  # the first word of it
    for offset, sentence in _sentences(body):
        for pattern in PATTERNS:
            if pattern is AT_THE_START and seen:
                continue
            for match in pattern.regex.finditer(sentence):
                start, end = offset + match.start(), offset + match.end()
                after = re.match(r"\s*\S+", text.body[end:])
                words = text.body[start : end + (after.end() if after else 0)]
                yield Found(line(start), pattern.name, " ".join(words.split()), pattern.instead)
        seen = False
        prose = re.sub(r"`+[,;]\s", "", sentence)  # without lists of names
        count = len(re.findall(r"\S*[A-Za-z0-9`]\S*", prose))
        if count > MAX_WORDS and not _is_drawn(sentence):
            begins = " ".join(text.body[offset : offset + len(sentence)].split()[:6]) + " ..."
            yield Found(line(offset), f"a sentence of {count} words", begins, f"{MAX_WORDS} at most: make two of it")


def check(path: str, source: str) -> list[Found]:
    """All places of one file, in the order of its lines."""
    return sorted((found for text in texts(path, source) for found in check_text(text)), key=lambda found: found.line)
