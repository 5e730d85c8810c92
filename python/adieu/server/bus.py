"""The log of a replicated hub in Redis: several servers share their rooms.

The log is a stream. `hub.replica` says why its order is all that correctness needs; here is only how batches get into
the stream and out of it. Nothing is published: every server reads the stream from the entry that it read last.

* `{prefix}:log`: the stream. Entries of the last `KEPT` seconds are kept, which is longer than a slow server lives.
* `{prefix}:epoch`: which log this is. When a Redis without persistence was started again, entries are lost. The first
  server that notices begins a new log with a new epoch, and all others follow it. Then their clients get new seats, and
  sessions go on.
* `{prefix}:nodes`: when each server was here last, to know whether there is anybody with a copy of the hub.
* `{prefix}:snapshot:NODE`: the copy for a server that has just entered.

When Redis cannot be reached, all sockets are closed, with a code after which clients reconnect, and nobody is let in
until it is there again. The seats are in the log: if Redis has kept it, nothing is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

import adieu
from adieu.server.hub.replica import DEAD, FORMAT, HEARTBEAT, GapError, Replica

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

logger: Final = logging.getLogger("adieu.server")

KEPT = 30.0
SUSPICIOUS = 10.0
"""Seconds between two entries, after which the server checks that no entry is missing between them."""
LINGER = 0.002
"""Seconds between two batches: under load a batch has many inputs."""
READ = 64
"""The most entries that are read at once."""
TIMEOUT = 2.0
"""Seconds without an answer, after which Redis counts as lost."""
SNAPSHOT_TIMEOUT = 1.5
"""Seconds; less than `TIMEOUT`."""
RETRY = 0.2
START_TIMEOUT = 15.0

# # KEYS: epoch, log, nodes. ARGV: my node, my epoch or "", my position, the epoch to begin, the format, ms until dead.
_JOIN = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('GET', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6])
redis.call('ZREM', KEYS[3], ARGV[1])
local answer = 'begin'
if epoch then
  local format = string.match(epoch, '/(.*)')
  local others = redis.call('ZCARD', KEYS[3])
  if format ~= ARGV[5] and others > 0 then return {'differs', epoch} end
  if format == ARGV[5] then
    if epoch == ARGV[2] and (ARGV[3] == '0-0' or #redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3]) > 0) then
      answer = 'continue'
    elseif others > 0 then
      local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
      local function at(id) return tonumber(string.match(id, '%d+')) end
      if epoch ~= ARGV[2] or (#first > 0 and at(ARGV[3]) < at(first[1][1])) then answer = 'copy' end
    end
  end
end
if answer == 'begin' then
  redis.call('DEL', KEYS[2], KEYS[3])
  epoch = ARGV[4] .. '/' .. ARGV[5]
  redis.call('SET', KEYS[1], epoch)
end
if answer ~= 'copy' then redis.call('ZADD', KEYS[3], now, ARGV[1]) end
return {answer, epoch}
"""


class DifferentError(Exception):
    """The servers of the log have another version or other limits."""


class RedisBus:
    """Carries batches between a replica and Redis.

    Args:
        url: `redis://`, `rediss://` or `unix://`, as the package redis reads it.
        replica: this server's copy of the hub.
        flush: carries out the outputs of the replica; called after entries were read.
        name: returns a new name of a server.
        prefix: of all keys: servers with the same one share their rooms.

    Raises:
        ValueError: the url is not valid.
    """

    def __init__(
        self, url: str, replica: Replica, *, flush: Callable[[], None], name: Callable[[], str], prefix: str = "adieu"
    ) -> None:
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),  # here is decided what a lost answer means
            "protocol": 2,
        }
        client: Any = Redis  # its options have no types
        self._redis: Redis = client.from_url(url, **options)
        self._replica = replica
        self._flush = flush
        self._name = name
        keys = (f"{{{prefix}}}:{key}" for key in ("epoch", "log", "nodes", "snapshot"))
        self._epoch_key, self._log, self._nodes, self._snapshot = keys
        settings = msgspec.json.encode(replica.settings)
        self._format = f"{adieu.__version__}.{FORMAT}.{hashlib.sha256(settings).hexdigest()[:16]}"
        self._epoch = ""
        self._unsent: bytes | None = None
        """A batch of which is not known whether it is in the log."""
        self._woken = asyncio.Event()
        self._leaving = False
        self._has_entered = False
        self.entered: asyncio.Event = asyncio.Event()
        """Set while this server takes part."""

    def wake(self) -> None:
        """Say that the replica may have inputs to append."""
        if self._replica.waiting:
            self._woken.set()

    async def run(self) -> None:
        """Carry batches until `leave`. Raises DifferentError if this server does not fit to the others at its start."""
        lost, doubted = "", False
        while not self._leaving:
            try:
                await self._enter()
                self._replica.up = self._has_entered = True
                self.entered.set()
                if lost:
                    logger.info("the bus is there again")
                lost, doubted = "", False
                await self._carry()
            except (RedisError, OSError, TimeoutError) as error:
                if self._replica.up and not doubted:
                    doubted = True  # once more before clients notice: perhaps only this program was slow
                    continue
                if not lost:
                    lost = str(error) or type(error).__name__
                    logger.warning("the bus is lost: %s; clients reconnect when it is there", lost[:200])
            except DifferentError as error:
                if not self._has_entered:
                    raise
                if not lost:
                    lost = str(error)
                    logger.warning("the bus is lost: %s", lost)
            except GapError as error:
                logger.warning("this server has missed entries of the bus, and begins with a copy: %s", error)
                self._start_again()
            except Exception:
                lost = "a fault of adieu"
                logger.exception("a fault of adieu: the bus goes on after the entry that made it")
            if self._is_leaving():
                break
            if self._replica.expelled:
                logger.warning("this server was too slow, and the others have ended it; it enters again")
                self._unsent = None
                self._replica.rename(self._name())
            else:
                self._replica.lose("the server has lost its bus")
            self.entered.clear()
            self._replica.up = False
            self._flush()
            if lost:
                await asyncio.sleep(RETRY)
        self._replica.up = False
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            await self._redis.zrem(self._nodes, self._replica.node)

    def _is_leaving(self) -> bool:
        return self._leaving

    def leave(self) -> None:
        """End `run` with the last batch: the others then do not wait for this server."""
        self._leaving = True
        self._replica.exit()
        self._flush()
        self._woken.set()

    async def close(self) -> None:
        """Close the connections to Redis."""
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    # --- entering -----------------------------------------------------------------------------------------

    async def _enter(self) -> None:
        """Take part: go on where this server was, or begin a log, or take a copy from another server."""
        replica = self._replica
        fresh = hashlib.sha256(self._name().encode()).hexdigest()[:16]
        keys = (self._epoch_key, self._log, self._nodes)
        given = (replica.node, self._epoch, replica.position, fresh, self._format, str(round(DEAD * 1000)))
        found: list[bytes] = await self._ask(self._redis.eval(_JOIN, len(keys), *keys, *given))
        answer, epoch = found
        match answer:
            case b"continue":
                return
            case b"differs":
                raise DifferentError(
                    "the servers on this bus have another version of adieu or other limits: use the same in all, or"
                    " another --bus-prefix"
                )
            case _:
                self._start_again()
                self._epoch = epoch.decode()
        blank = answer == b"copy"
        replica.enter(blank=blank)
        self._unsent = replica.take_batch()
        if blank:
            await self._append(self._unsent)
            self._unsent = None
            key = f"{self._snapshot}:{replica.node}"
            copy: list[bytes] | None = await self._ask(self._redis.blpop([key], timeout=SNAPSHOT_TIMEOUT))
            if copy is None:
                self._epoch = ""
                raise TimeoutError("no other server has given a copy yet")
            replica.load(copy[1])

    def _start_again(self) -> None:
        self._unsent = None
        self._epoch = ""
        self._replica.start_again(self._name())

    # --- carrying -----------------------------------------------------------------------------------------

    async def _carry(self) -> None:
        """Append and read, until one of both fails."""
        tasks = [asyncio.create_task(each, name="adieu bus") for each in (self._write(), self._read())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            if not task.cancelled():
                task.result()

    async def _write(self) -> None:
        replica = self._replica
        while self._unsent is not None or replica.waiting or not self._leaving:
            if self._unsent is None:
                if not replica.waiting:
                    await self._rest()
                self._unsent = replica.take_batch()
            await self._append(self._unsent)
            self._unsent = None
            await asyncio.sleep(LINGER)

    async def _rest(self) -> None:
        """Wait for inputs, or for the time of the next sign of life."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT):
                await self._woken.wait()

    async def _append(self, batch: bytes) -> None:
        at = int(self._replica.position.partition("-")[0])
        oldest = max(0, at - round(KEPT * 1000))
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(self._log, {b"b": batch}, minid=str(oldest), approximate=True)
            if at:
                pipe.zadd(self._nodes, {self._replica.node: at})
            await pipe.execute()

    async def _read(self) -> None:
        replica = self._replica
        while True:
            wish = self._redis.xread({self._log: replica.position}, count=READ, block=round(HEARTBEAT * 1000))
            answer: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]] = await self._ask(wish)
            if not answer:
                continue
            [(_, entries)] = answer
            await self._check_whole(entries[0][0].decode())
            for position, fields in entries:
                replica.apply(position.decode(), fields.get(b"b", b""))
            self._flush()
            while replica.snapshots:
                node, snapshot = replica.snapshots.pop(0)
                async with self._redis.pipeline(transaction=True) as pipe:
                    pipe.rpush(f"{self._snapshot}:{node}", snapshot)
                    pipe.expire(f"{self._snapshot}:{node}", 60)
                    await pipe.execute()
            if replica.expelled:
                return

    @staticmethod
    async def _ask(answer: Any) -> Any:
        """Await an answer of Redis; the package's types say only that it may be anything."""
        return await answer

    async def _check_whole(self, position: str) -> None:
        """Check that no entry before this one was removed unread. Entries are removed in order, the oldest first."""
        before = self._replica.position
        if before == "0-0" or _milliseconds(position) - _milliseconds(before) < SUSPICIOUS * 1000:
            return
        if not await self._redis.xrange(self._log, before, before, count=1):
            raise GapError(f"the entry {before} is there no longer")


def _milliseconds(position: str) -> int:
    return int(position.partition("-")[0])


@asynccontextmanager
async def taking_part(
    url: str, prefix: str, replica: Replica, *, flush: Callable[[], None], name: Callable[[], str]
) -> AsyncGenerator[RedisBus]:
    """Take part in the log while the block runs.

    Raises:
        ValueError: the url is not valid, or this server does not fit to the others.
        OSError: Redis cannot be reached.
    """
    bus = RedisBus(url, replica, flush=flush, name=name, prefix=prefix)
    running = asyncio.create_task(bus.run(), name="adieu bus")
    entering = asyncio.create_task(bus.entered.wait())
    try:
        await asyncio.wait({running, entering}, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            try:
                running.result()
            except DifferentError as error:
                raise ValueError(str(error)) from None
        if not entering.done():
            raise OSError("the bus cannot be reached: is Redis there, and is the url right?")
        yield bus
        bus.leave()
        await asyncio.wait({running}, timeout=TIMEOUT)
    finally:
        for task in (running, entering):
            task.cancel()
        await asyncio.wait({running, entering})
        await bus.close()
