"""`adieu serve`: a signaling server, and the page."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import fields
from pathlib import Path  # noqa: TC003 typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from adieu.server.hub import Settings

if TYPE_CHECKING:
    from adieu.server.serving import Server

WHO, WHERE, CLIENTS, RUNNING = "Access", "Address", "Settings for clients", "Running"
_LIMITS = ", ".join(f"{field.name}={field.default}" for field in fields(Settings))

Names = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    *,
    host: Annotated[
        str,
        typer.Option(envvar="ADIEU_HOST", metavar="NAME", help="Name or address to listen on.", rich_help_panel=WHERE),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="ADIEU_PORT", metavar="NUMBER", help="Port; 0 takes a free one.", rich_help_panel=WHERE),
    ] = 8080,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS certificate chain, PEM. With --key.", rich_help_panel=WHERE)
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of the certificate, PEM.", rich_help_panel=WHERE)
    ] = None,
    name: Annotated[
        Names,
        typer.Option(
            metavar="NAME",
            help="Host name of this server, in addition to localhost and addresses. Repeatable.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    proxy: Annotated[
        Names,
        typer.Option(
            metavar="ADDRESS",
            help="Address of a reverse proxy whose X-Forwarded-For is trusted. Repeatable.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    jwt_key: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="File with the key of the tokens: a secret of 32 bytes or more, or a public key in PEM."
            " Repeatable, so that you can add a new key before you remove the old one. Or put the key into"
            " ADIEU_JWT_KEY. Tokens have the claims sub, exp, room (a name, a list, or *) and can (a list; kick).",
            rich_help_panel=WHO,
        ),
    ] = None,
    jwt_secret: Annotated[str | None, typer.Option(envvar="ADIEU_JWT_KEY", hidden=True)] = None,
    audience: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Required value in the tokens' aud.", rich_help_panel=WHO)
    ] = None,
    open_: Annotated[
        bool,
        typer.Option(
            "--open", help="Listen beyond this computer without a key: everybody may join.", rich_help_panel=WHO
        ),
    ] = False,
    origin: Annotated[
        Names,
        typer.Option(
            metavar="ORIGIN",
            help="Origin of pages from other servers, such as https://app.example.org. Repeatable; * for all.",
            rich_help_panel=WHO,
        ),
    ] = None,
    stun: Annotated[
        Names,
        typer.Option(metavar="URL", help="STUN server, such as stun:host:port. Repeatable.", rich_help_panel=CLIENTS),
    ] = None,
    turn: Annotated[
        Names,
        typer.Option(
            metavar="URL",
            help="TURN server, such as turn:host:port?transport=udp. Repeatable. Put its static-auth-secret (coturn)"
            " into ADIEU_TURN_SECRET.",
            rich_help_panel=CLIENTS,
        ),
    ] = None,
    turn_secret: Annotated[str, typer.Option(envvar="ADIEU_TURN_SECRET", hidden=True)] = "",
    limit: Annotated[
        Names,
        typer.Option(metavar="NAME=NUMBER", help=f"Change a limit. Repeatable. {_LIMITS}.", rich_help_panel=RUNNING),
    ] = None,
    metrics: Annotated[
        bool | None,
        typer.Option(
            "--metrics/--no-metrics",
            help="Serve Prometheus metrics at /metrics to everybody. By default only programs on this computer get"
            " them, and only if the server is for this computer alone, without --proxy, --name and --origin.",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    page: Annotated[
        bool,
        typer.Option(
            "--page/--no-page",
            help="Serve a page for people at /.",
            rich_help_panel=RUNNING,
        ),
    ] = True,
    drain: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Seconds between goaway and the close when the server stops.",
            rich_help_panel=RUNNING,
        ),
    ] = 2.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every message, secrets hidden.", rich_help_panel=RUNNING)
    ] = False,
) -> None:
    """Run a signaling server: rooms where programs and pages meet, and a page for people.

    Without options it listens on this computer only and lets everybody in. To let others reach it, give a key
    (--jwt-key), TLS (--cert, --key, or a proxy with TLS), the server's --name, and the --origin of pages from other
    servers. Ctrl-C or SIGTERM says goodbye to everybody; a second one does not wait. /healthz says that the server is
    alive, /readyz whether new clients can join.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("adieu").setLevel(logging.DEBUG if verbose else logging.INFO)
    try:
        keys: list[str | bytes] = [path.read_bytes() for path in jwt_key or []]
        if jwt_secret:
            keys.append(jwt_secret)
        options: dict[str, Any] = {
            "keys": keys,
            "audience": audience,
            "open_to_all": open_,
            "names": name or (),
            "origins": origin or (),
            "proxies": proxy or (),
            "cert": cert,
            "key": key,
            "ice": _ice(stun, turn, turn_secret),
            "metrics": metrics,
            "page": page,
            "settings": _settings(limit),
            "drain": drain,
        }
        _take_descriptors(options["settings"])
        asyncio.run(_serve(host, port, options))
    except (ValueError, OSError, ImportError) as error:
        Console(stderr=True, highlight=False).print(f"[red]adieu serve:[/red] {_plain(error)}", soft_wrap=True)
        raise typer.Exit(2) from None
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def _ice(stun: Names, turn: Names, secret: str) -> Any:
    from adieu.server import IceConfig  # noqa: PLC0415 quick help

    return IceConfig(stun=tuple(stun or ()), turn=tuple(turn or ()), secret=secret)


def _settings(limits: Names) -> Settings:
    kinds = {field.name: int if field.type == "int" else float for field in fields(Settings)}
    changed: dict[str, Any] = {}
    for text in limits or []:
        name, _, number = text.partition("=")
        if name not in kinds:
            raise ValueError(f"--limit {text}: unknown limit {name!r}; the limits are {', '.join(kinds)}")
        try:
            changed[name] = kinds[name](number)
        except ValueError:
            raise ValueError(f"--limit {text}: {number!r} is not a number") from None
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


async def _serve(host: str, port: int, options: dict[str, Any]) -> None:
    from adieu.server import serve as run  # noqa: PLC0415 quick help

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()

    def asked() -> None:
        if stop.is_set() and this is not None:
            this.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C is KeyboardInterrupt there
            loop.add_signal_handler(number, asked)
    async with run(host, port, **options) as server:
        _announce(server, host, options)
        await stop.wait()
        if server.hub.gauges()["connections"]:
            typer.echo(f"Saying goodbye to {server.hub.gauges()['connections']} (once more: at once) …")


def _announce(server: Server, host: str, options: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Signaling server at [bold]{server.url}[/bold]")
    if options["page"]:
        console.print(f"  page   [bold]{server.http_url}/[/bold]")
    console.print(f"  health {server.http_url}/healthz (alive), /readyz (not full, not stopping)")
    loopback = all(address.startswith("127.") or address == "::1" for address, _ in server.addresses)
    if not loopback:
        listening = ", ".join(f"{address} port {port}" for address, port in server.addresses)
        console.print(f"  listening on {listening}")
    if options["keys"]:
        console.print("  open to clients with a token")
    elif loopback:
        console.print("  open to every program on this computer, and to pages that it serves")
    else:
        console.print(
            f"[yellow]This server is open:[/yellow] everybody who can reach {host} may enter every room without a"
            " token, and learns the network addresses of the people in it. To require tokens, give --jwt-key FILE."
        )
    if not loopback and options["cert"] is None:
        console.print(
            "[yellow]It runs without TLS:[/yellow] tokens can be read on the network, and browsers let only pages"
            " without TLS use it. Give --cert and --key, or put a proxy with TLS in front of it."
        )


def _plain(error: BaseException) -> str:
    """Return the message of an error for a terminal; its brackets are not markup."""
    text = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
    return text.replace("[", r"\[")
