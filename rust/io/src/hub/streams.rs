//! The streams of one transport: those that its engine has ordered, and those that came in for it.

use adieu_engine::{Wire, WireKey};

/// `T`: how the network knows a stream.
#[derive(Clone, Copy, Debug)]
pub struct OpenStream<T> {
    pub key: WireKey,
    pub wire: Wire,
    pub stream: T,
}

#[derive(Debug)]
pub struct OpenStreams<T> {
    all: Vec<OpenStream<T>>,
    accepted: u32,
}

impl<T> Default for OpenStreams<T> {
    fn default() -> OpenStreams<T> {
        OpenStreams { all: Vec::new(), accepted: 0 }
    }
}

impl<T: Copy> OpenStreams<T> {
    pub fn add(&mut self, key: WireKey, wire: Wire, stream: T) {
        self.all.push(OpenStream { key, wire, stream });
    }

    /// A stream that came in gets a key.
    pub fn accept(&mut self, wire: Wire, stream: T) -> WireKey {
        self.accepted += 1;
        let key = WireKey::Accepted(self.accepted);
        self.add(key, wire, stream);
        key
    }

    pub fn on_wire(&self, wire: Wire) -> Option<OpenStream<T>> {
        self.all.iter().find(|one| one.wire == wire).copied()
    }

    pub fn take(&mut self, is_it: impl Fn(&OpenStream<T>) -> bool) -> Option<OpenStream<T>> {
        let at = self.all.iter().position(is_it)?;
        Some(self.all.swap_remove(at))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &OpenStream<T>> {
        self.all.iter()
    }
}
