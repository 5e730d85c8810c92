//! How a channel is opened: its names and how hard its messages are tried.

use std::time::Duration;

/// How hard a message is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    #[default]
    Full,
    Retransmits(u16),
    /// Milliseconds from the call of `send`.
    Lifetime(u16),
}

impl Reliability {
    pub fn lifetime(self) -> Option<Duration> {
        match self {
            Reliability::Lifetime(milliseconds) => Some(Duration::from_millis(milliseconds.into())),
            _ => None,
        }
    }

    pub fn max_retransmits(self) -> Option<u16> {
        match self {
            Reliability::Retransmits(count) => Some(count),
            _ => None,
        }
    }
}

/// The options of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelOptions {
    pub label: String,
    pub protocol: String,
    /// Both sides open it themselves, with the same stream id; nothing about it is sent.
    pub negotiated: bool,
    pub ordered: bool,
    pub reliability: Reliability,
    pub priority: u16,
}
