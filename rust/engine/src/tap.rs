//! Copies of decrypted packets, for a capture. It is off unless somebody debugs.

use std::collections::VecDeque;

/// Packets between two looks of the caller; further ones are missing in the capture.
const MAX_PACKETS: usize = 4096;

#[derive(Default)]
pub(crate) struct Tap {
    is_on: bool,
    /// Whether it was sent, and the packet.
    packets: VecDeque<(bool, Vec<u8>)>,
}

impl Tap {
    pub fn set(&mut self, is_on: bool) {
        self.is_on = is_on;
    }

    #[inline]
    pub fn put(&mut self, is_sent: bool, packet: &[u8]) {
        if self.is_on && self.packets.len() < MAX_PACKETS {
            self.packets.push_back((is_sent, packet.to_vec()));
        }
    }

    pub fn take(&mut self) -> Option<(bool, Vec<u8>)> {
        self.packets.pop_front()
    }
}
