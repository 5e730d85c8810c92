//! One transport in the hub: its engine, its sockets, its channels as the application knows them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use adieu_engine::channel::ChannelEvent;
use adieu_engine::dtls::DtlsState;
use adieu_engine::lines as layers;
use adieu_engine::sctp::SctpState;
use adieu_engine::{Batch, ChannelKey, ChannelOptions, Drops, Kind, Transport};

use super::network::{Network, Sent};
use crate::event::{Counters, Event, EventQueue, Notice, TransportStats};
use crate::lines;
use crate::shared::{ChannelShared, NOWHERE, TransportShared};
use crate::trouble;

pub(super) struct HubTransport<S> {
    index: u32,
    pub connection: u64,
    pub owner: u64,
    pub shared: Arc<TransportShared>,
    pub queue: Arc<EventQueue>,
    pub engine: Transport,
    pub sockets: Vec<(SocketAddr, S)>,
    channels: Vec<Option<OpenChannel>>,
    pub timer: Option<Instant>,
    pub counted_timer: bool,
    pub is_touched: bool,
    /// A socket takes nothing at present.
    pub is_blocked: bool,
    pub is_congested: bool,
    /// Closed: only its last words are waited for, until then.
    pub reaped_by: Option<Instant>,
    /// The latest generation that was gathered for.
    pub generation: u32,
    told_forbidden: bool,
    drops: Drops,
    /// The last figures, taken before everything was closed.
    pub last_stats: Option<TransportStats>,
}

struct OpenChannel {
    shared: Arc<ChannelShared>,
    /// Payload bytes that the engine took and that did not leave yet.
    unsent: usize,
}

impl<S: Copy> HubTransport<S> {
    pub fn new(
        index: u32,
        (connection, owner): (u64, u64),
        shared: Arc<TransportShared>,
        queue: Arc<EventQueue>,
        engine: Transport,
    ) -> HubTransport<S> {
        HubTransport {
            index,
            connection,
            owner,
            shared,
            queue,
            engine,
            sockets: Vec::new(),
            channels: Vec::new(),
            timer: None,
            counted_timer: false,
            is_touched: false,
            is_blocked: false,
            is_congested: false,
            reaped_by: None,
            generation: 0,
            told_forbidden: false,
            drops: Drops::default(),
            last_stats: None,
        }
    }

    /// The socket of this address; of a generation before, if there is one: the pair of addresses and ports may stay
    /// the same over an ICE restart.
    pub fn socket_on<N: Network<Socket = S>>(&mut self, net: &mut N, ip: IpAddr) -> io::Result<SocketAddr> {
        if let Some((local, _)) = self.sockets.iter().find(|(local, _)| local.ip() == ip) {
            return Ok(*local);
        }
        let (socket, local) = net.bind(self.owner, ip, self.index)?;
        log::debug!(target: layers::ICE, "= socket {local}");
        self.sockets.push((local, socket));
        Counters::add(&self.queue.counters.sockets, 1);
        Ok(local)
    }

    /// Something of this machine is in the way of the latest generation.
    pub fn tell_trouble(&self, address: Option<IpAddr>, port: Option<u16>, text: String) {
        let (transport, generation) = (self.shared.id, self.generation);
        self.queue.notice(Notice::Trouble { transport, generation, address, port, text });
    }

    pub fn open_channel(&mut self, now: Instant, shared: Arc<ChannelShared>, options: ChannelOptions) {
        self.deliver(now); // keys of channels that have ended are used again
        if let Some(key) = self.engine.open_channel(now, shared.stream, options) {
            self.enter_channel(key, shared);
        }
    }

    pub fn send(&mut self, now: Instant, key: ChannelKey, kind: Kind, data: Vec<u8>) -> bool {
        let size = data.len();
        if !self.engine.send(now, key, kind, data) {
            return false;
        }
        if let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) {
            channel.unsent += size;
        }
        true
    }

    /// Close this transport while its connection goes on. Its channels get their event.
    pub fn close_alone(&mut self, now: Instant, reason: &str, reaped_by: Instant) {
        self.deliver(now);
        for channel in self.channels.iter().flatten() {
            let error = Some(format!("the transport was closed: {reason}"));
            self.queue.notice(Notice::ChannelClosed { channel: channel.shared.id, error, cause: None });
        }
        self.close(now, reason, reaped_by);
    }

    pub fn close(&mut self, now: Instant, reason: &str, reaped_by: Instant) {
        if self.reaped_by.is_some() {
            return;
        }
        self.last_stats = Some(self.stats(now));
        self.engine.close(now, reason);
        self.abandon_channels();
        self.channels.clear();
        self.reaped_by = Some(reaped_by);
        self.timer = None;
    }

    /// Make later commands on these channels do nothing.
    pub fn abandon_channels(&self) {
        for channel in self.channels.iter().flatten() {
            channel.shared.place.store(NOWHERE, Ordering::Relaxed);
            Counters::subtract(&self.queue.counters.channels, 1);
        }
    }

    /// Events up, datagrams out.
    pub fn pump<N: Network<Socket = S>>(&mut self, now: Instant, net: &mut N, batch: &mut Batch) {
        self.deliver(now);
        while !self.is_blocked && self.engine.poll_transmit(now, batch) {
            let Some((_, socket)) = self.sockets.iter().find(|(local, _)| *local == batch.route.local) else {
                continue;
            };
            match net.send(now, *socket, batch) {
                Sent::Taken => {}
                Sent::Full => self.is_blocked = true,
                Sent::Refused(error) => {
                    Counters::add(&self.queue.counters.dropped_unsent, batch.count() as u64);
                    // Once: what is forbidden stays so. All else may pass, and ICE has its own clock for it.
                    if trouble::is_forbidden(&error) && !std::mem::replace(&mut self.told_forbidden, true) {
                        let text = format!(
                            "nothing can be sent to {}: {}",
                            batch.route.remote,
                            trouble::name(&error)
                        );
                        self.tell_trouble(Some(batch.route.local.ip()), Some(batch.route.local.port()), text);
                    }
                }
            }
        }
        self.deliver(now);
        if !self.is_congested && self.queue.is_congested() {
            self.is_congested = true;
            self.engine.set_congested(now, true);
        }
        let drops = self.engine.drops();
        if drops != self.drops {
            let more = drops.minus(&self.drops);
            log::debug!(target: layers::CONNECTION, "! dropped: {more}");
            self.queue.counters.add_drops(&more);
            self.drops = drops;
        }
    }

    /// Hand up the lines that the engine has logged in this turn.
    pub fn hand_up_lines(&self) {
        for line in lines::take() {
            self.queue.line(self.connection, line);
        }
    }

    fn deliver(&mut self, now: Instant) {
        while let Some((key, bytes)) = self.engine.poll_drained(now) {
            let Some(channel) = self.channels.get_mut(key.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            channel.unsent -= bytes.min(channel.unsent);
            self.shared.buffered.fetch_sub(bytes, Ordering::AcqRel);
            let left = channel.shared.buffered.fetch_sub(bytes, Ordering::SeqCst) - bytes;
            let low = channel.shared.low.load(Ordering::Relaxed);
            // Sequentially consistent, as in `Channel::watch_low`: one of the two sees what the other has done.
            if left <= low && channel.shared.watched.swap(false, Ordering::SeqCst) {
                self.queue.push(Event::Low { channel: channel.shared.id });
            }
        }
        while let Some(event) = self.engine.poll_event(now) {
            self.translate(event);
        }
    }

    fn translate(&mut self, event: adieu_engine::Event) {
        use adieu_engine::Event as E;
        let notice = match event {
            E::Channel(ChannelEvent::Message { key, kind, payload }) => {
                if let Some(channel) = self.id_of(key) {
                    self.queue.push(Event::Message { channel, kind, data: payload });
                }
                return;
            }
            E::Channel(event) => match self.translate_channel(event) {
                Some(notice) => notice,
                None => return,
            },
            // The application knows that they begin: it has begun them.
            E::Dtls { state: DtlsState::New, .. } | E::Sctp { state: SctpState::Connecting, .. } => return,
            event => Notice::Engine { transport: self.shared.id, event },
        };
        self.queue.notice(notice);
    }

    fn translate_channel(&mut self, event: ChannelEvent) -> Option<Notice> {
        match event {
            ChannelEvent::Message { .. } => None,
            ChannelEvent::Open { key } => Some(Notice::ChannelOpen { channel: self.id_of(key)? }),
            ChannelEvent::Incoming { key, stream, options } => {
                let channel = Arc::new(ChannelShared::new(stream, self.shared.clone()));
                self.enter_channel(key, channel.clone());
                Some(Notice::ChannelIncoming { transport: self.shared.id, channel, options: *options })
            }
            ChannelEvent::Closing { key } => Some(Notice::ChannelClosing { channel: self.id_of(key)? }),
            ChannelEvent::Closed { key, error, cause } => Some(Notice::ChannelClosed {
                channel: self.leave_channel(key)?,
                error: error.map(String::from),
                cause,
            }),
            ChannelEvent::Failed { key, message } => {
                Some(Notice::ChannelFailed { channel: self.leave_channel(key)?, message })
            }
        }
    }

    fn enter_channel(&mut self, key: ChannelKey, shared: Arc<ChannelShared>) {
        shared.place.store(u64::from(self.index) << 32 | u64::from(key.0), Ordering::Relaxed);
        let index = key.0 as usize;
        if self.channels.len() <= index {
            self.channels.resize_with(index + 1, || None);
        }
        self.channels[index] = Some(OpenChannel { shared, unsent: 0 });
        Counters::add(&self.queue.counters.channels, 1);
    }

    /// Note that a channel is closed. Later commands on it do nothing, and its queued bytes are free for the others.
    /// Its own bufferedAmount stays (closing rule 48).
    fn leave_channel(&mut self, key: ChannelKey) -> Option<u64> {
        let channel = self.channels.get_mut(key.0 as usize)?.take()?;
        channel.shared.place.store(NOWHERE, Ordering::Relaxed);
        self.shared.buffered.fetch_sub(channel.unsent, Ordering::AcqRel);
        Counters::subtract(&self.queue.counters.channels, 1);
        Some(channel.shared.id)
    }

    #[inline]
    fn id_of(&self, key: ChannelKey) -> Option<u64> {
        Some(self.channels.get(key.0 as usize)?.as_ref()?.shared.id)
    }

    pub fn stats(&self, now: Instant) -> TransportStats {
        let engine = self.engine.stats(now);
        let channels = engine.channels.iter().enumerate();
        let channels = channels.filter_map(|(index, (key, _, _))| Some((self.id_of(*key)?, index))).collect();
        TransportStats { engine, channels, ended: false }
    }
}
