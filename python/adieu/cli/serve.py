"""`adieu serve`: a signaling server, and the page."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.cli.arguments import number, port, read_key
from adieu.cli.screen import Screen
from adieu.server.hub import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.cli.arguments import Parser
    from adieu.server import IceConfig
    from adieu.server.serving import Server

EXAMPLES = """\
  adieu serve
  adieu serve --host 0.0.0.0 --open
  adieu serve --host 0.0.0.0 --name signaling.example.org --cert fullchain.pem --key key.pem --jwt-key public.pem"""

_LIMITS = ", ".join(f"{field.name}={field.default}" for field in fields(Settings))


def options(parser: Parser) -> None:
    """Add the options of the command."""
    _where(parser)
    _access(parser)
    _for_clients(parser)
    _running(parser)


def _where(parser: Parser) -> None:
    add = parser.add_argument_group("address").add_argument
    host = add("--host", default="127.0.0.1", metavar="NAME", help="Name or address to listen on (127.0.0.1).")
    parser.from_variable(host, "ADIEU_HOST")
    number_ = add("--port", type=port, default=8080, metavar="NUMBER", help="Port (8080); 0 takes a free one.")
    parser.from_variable(number_, "ADIEU_PORT")
    add("--cert", type=Path, metavar="FILE", help="TLS certificate chain, PEM. With --key.")
    add("--key", type=Path, metavar="FILE", help="Private key of the certificate, PEM.")
    text = "Host name of this server, in addition to localhost and addresses. Repeatable."
    add("--name", action="append", metavar="NAME", help=text)
    text = "Address of a reverse proxy whose X-Forwarded-For is trusted. Repeatable."
    add("--proxy", action="append", metavar="ADDRESS", help=text)


def _access(parser: Parser) -> None:
    add = parser.add_argument_group("access").add_argument
    add(
        "--jwt-key",
        action="append",
        type=Path,
        metavar="FILE",
        help="File with the key of the tokens: a secret of 32 bytes or more, or a public key in PEM. Repeatable, so"
        " that you can add a new key before you remove the old one. Or put the key into ADIEU_JWT_KEY. Tokens have the"
        " claims sub, exp, room (a name, a list, or *) and can (a list; kick); `adieu token` makes them.",
    )
    add(
        "--jwks",
        metavar="URL",
        help="A set of public keys that somebody else keeps, such as https://id.example.org/jwks.json, or a file. It is"
        " read again every five minutes, and when a token names an unknown key.",
    )
    add("--audience", metavar="TEXT", help="Required value in the tokens' aud.")
    text = "Listen beyond this computer without a key: everybody may join."
    add("--open", action="store_true", help=text)
    text = "Origin of pages from other servers, such as https://app.example.org. Repeatable; * for all."
    add("--origin", action="append", metavar="ORIGIN", help=text)


def _for_clients(parser: Parser) -> None:
    add = parser.add_argument_group("settings for clients").add_argument
    add("--stun", action="append", metavar="URL", help="STUN server, such as stun:host:port. Repeatable.")
    add(
        "--turn",
        action="append",
        metavar="URL",
        help="TURN server, such as turn:host:port?transport=udp. Repeatable. Put its static-auth-secret (coturn) into"
        " ADIEU_TURN_SECRET.",
    )


def _running(parser: Parser) -> None:
    add = parser.add_argument_group("running").add_argument
    add("--limit", action="append", metavar="NAME=NUMBER", help=f"Change a limit. Repeatable. {_LIMITS}.")
    add(
        "--metrics",
        action=argparse.BooleanOptionalAction,
        help="Serve Prometheus metrics at /metrics to everybody. By default only programs on this computer get them,"
        " and only if the server is for this computer alone, without --proxy, --name and --origin.",
    )
    add(
        "--admin-token",
        type=Path,
        metavar="FILE",
        help="File with a secret of 32 characters or more. It opens /v1/admin to operators: rooms, peers, kick, close,"
        " drain. Or put it into ADIEU_ADMIN_TOKEN.",
    )
    text = "Redis by which several servers share their rooms, such as redis://127.0.0.1:6379."
    bus = add("--bus", metavar="URL", help=text)
    parser.from_variable(bus, "ADIEU_BUS")
    text = "Servers with the same prefix share their rooms (adieu)."
    add("--bus-prefix", default="adieu", metavar="TEXT", help=text)
    add("--page", action=argparse.BooleanOptionalAction, default=True, help="Serve a page for people at /.")
    text = "Seconds between goaway and the close when the server stops (2)."
    add("--drain", type=number, default=2.0, metavar="SECONDS", help=text)
    add("-v", "--verbose", action="store_true", help="Show every message, secrets hidden.")


def run(given: argparse.Namespace) -> int:
    """Run a signaling server: rooms where programs and pages meet, and a page for people.

    Without options it listens on this computer only and lets everybody in. To let others reach it, give a key
    (--jwt-key), TLS (--cert, --key, or a proxy with TLS), the server's --name, and the --origin of pages from other
    servers. Ctrl-C or SIGTERM says goodbye to everybody; a second one does not wait. A new certificate is taken without
    a restart, at once with SIGHUP. /healthz says that the server is alive, /readyz whether new clients can join.

    It needs more packages: pip install 'adieu[server]'.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("adieu").setLevel(logging.DEBUG if given.verbose else logging.INFO)
    try:
        chosen = _chosen(given)
        _take_descriptors(chosen["settings"])
        asyncio.run(_serve(given.host, given.port, chosen))
    except (ValueError, OSError, ImportError) as error:
        print(f"adieu serve: {_plain(error)}", file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return 130
    return 0


def _chosen(given: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `adieu.server.serve`."""
    files: list[Path] = given.jwt_key or []
    keys: list[str | bytes] = [read_key(path) for path in files]
    if secret := os.environ.get("ADIEU_JWT_KEY"):
        keys.append(secret)
    return {
        "keys": keys,
        "audience": given.audience,
        "open_to_all": given.open,
        "names": given.name or (),
        "origins": given.origin or (),
        "proxies": given.proxy or (),
        "cert": given.cert,
        "key": given.key,
        "ice": _ice(given.stun or (), given.turn or ()),
        "metrics": given.metrics,
        "page": given.page,
        "settings": _settings(given.limit or ()),
        "drain": given.drain,
        "jwks": given.jwks,
        "admin_token": _admin_token(given.admin_token),
        "bus": given.bus or None,
        "bus_prefix": given.bus_prefix,
    }


def _admin_token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get("ADIEU_ADMIN_TOKEN") or None
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ValueError(f"the admin token {path} cannot be read: {error}") from None


def _ice(stun: Sequence[str], turn: Sequence[str]) -> IceConfig:
    from adieu.server import IceConfig  # noqa: PLC0415 quick help

    return IceConfig(stun=tuple(stun), turn=tuple(turn), secret=os.environ.get("ADIEU_TURN_SECRET", ""))


def _settings(limits: Sequence[str]) -> Settings:
    kinds = {field.name: int if field.type == "int" else float for field in fields(Settings)}
    changed: dict[str, Any] = {}
    for text in limits:
        name, _, value = text.partition("=")
        if name not in kinds:
            raise ValueError(f"--limit {text}: unknown limit {name!r}; the limits are {', '.join(kinds)}")
        try:
            changed[name] = kinds[name](value)
        except ValueError:
            raise ValueError(f"--limit {text}: {value!r} is not a number") from None
    return Settings(**changed)


def _take_descriptors(limits: Settings) -> None:
    """Raise the limit of open files as far as the system allows. Each connection needs a descriptor."""
    try:
        import resource  # noqa: PLC0415 not on Windows
    except ImportError:
        return
    needed = limits.connections + limits.pending + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        logging.getLogger("adieu.server").warning(
            "%d connections need more open files than this process may have (%d): raise that limit (ulimit -n), or"
            " lower this one (--limit connections=%d)",
            limits.connections,
            most,
            max(1, most - limits.pending - 100),
        )


async def _serve(host: str, number_: int, chosen: dict[str, Any]) -> None:
    from adieu.server import serve as start  # noqa: PLC0415 quick help

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()

    def asked() -> None:
        if stop.is_set() and this is not None:
            this.cancel()
        stop.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C is KeyboardInterrupt there
            loop.add_signal_handler(each, asked)
    async with start(host, number_, **chosen) as server:
        with contextlib.suppress(NotImplementedError, AttributeError):  # not on Windows
            loop.add_signal_handler(signal.SIGHUP, server.reload)
        _announce(server, host, chosen)
        await stop.wait()
        if server.hub.gauges()["connections"]:
            print(f"Saying goodbye to {server.hub.gauges()['connections']} (once more: at once) …", flush=True)


def _announce(server: Server, host: str, chosen: dict[str, Any]) -> None:
    screen = Screen()
    screen.line("Signaling server at ", ("bold", server.url))
    if chosen["page"]:
        screen.line("  page   ", ("bold", f"{server.http_url}/"))
    screen.line(f"  health {server.http_url}/healthz (alive), /readyz (not full, not stopping)")
    loopback = all(address.startswith("127.") or address == "::1" for address, _ in server.addresses)
    if not loopback:
        listening = ", ".join(f"{address} port {number}" for address, number in server.addresses)
        screen.line(f"  listening on {listening}")
    if chosen["admin_token"] is not None:
        screen.line(f"  operators {server.http_url}/v1/admin")
    if chosen["keys"] or chosen["jwks"]:
        screen.line("  open to clients with a token")
    elif loopback:
        screen.line("  open to every program on this computer, and to pages that it serves")
    else:
        screen.line(
            ("warning", "This server is open:"),
            f" everybody who can reach {host} may enter every room without a token, and learns the network addresses of"
            " the people in it. To require tokens, give --jwt-key FILE.",
        )
    if not loopback and chosen["cert"] is None:
        screen.line(
            ("warning", "It runs without TLS:"),
            " tokens can be read on the network, and browsers let only pages without TLS use it. Give --cert and --key,"
            " or put a proxy with TLS in front of it.",
        )


def _plain(error: BaseException) -> str:
    """Return the message of an error for a terminal."""
    return error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
