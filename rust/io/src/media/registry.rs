//! The senders and receivers that one event loop has made, by their handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adieu_engine::rtp::{MediaKind, Section};

use crate::command::CommandQueue;
use crate::ends::{ReceiverShared, SenderShared};
use crate::shared::next_id;

/// The handles live until their connection is closed.
#[derive(Default)]
pub struct Registry {
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    senders: HashMap<u64, (u64, Arc<SenderShared>)>,
    receivers: HashMap<u64, (u64, Arc<ReceiverShared>)>,
}

/// Handles that are gone now.
pub struct Gone {
    pub senders: Vec<u64>,
    pub receivers: Vec<u64>,
}

impl Registry {
    pub fn add_sender(&self, connection: u64, kind: MediaKind, commands: Arc<CommandQueue>) -> u64 {
        let id = next_id();
        self.lock().senders.insert(id, (connection, SenderShared::new(id, kind, commands)));
        id
    }

    pub fn add_receiver(&self, connection: u64, kind: MediaKind) -> u64 {
        let id = next_id();
        self.lock().receivers.insert(id, (connection, ReceiverShared::new(id, kind)));
        id
    }

    pub fn sender(&self, id: u64) -> Option<Arc<SenderShared>> {
        self.lock().senders.get(&id).map(|(_, sender)| sender.clone())
    }

    pub fn receiver(&self, id: u64) -> Option<Arc<ReceiverShared>> {
        self.lock().receivers.get(&id).map(|(_, receiver)| receiver.clone())
    }

    /// Those of these sections.
    pub fn of_sections(&self, sections: &[Section]) -> (Vec<Arc<SenderShared>>, Vec<Arc<ReceiverShared>>) {
        let senders = sections.iter().filter_map(|section| self.sender(section.sender?));
        let receivers = sections.iter().filter_map(|section| self.receiver(section.receiver?));
        (senders.collect(), receivers.collect())
    }

    /// Forget those of a connection, or all.
    pub fn forget(&self, connection: Option<u64>) -> Gone {
        let mut ends = self.lock();
        let is_gone = |owner: u64| connection.is_none_or(|connection| connection == owner);
        let senders = ends.senders.extract_if(|_, (owner, _)| is_gone(*owner)).map(|(id, _)| id).collect();
        let receivers =
            ends.receivers.extract_if(|_, (owner, _)| is_gone(*owner)).map(|(id, _)| id).collect();
        Gone { senders, receivers }
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_forgotten_takes_its_own_ends_alone() {
        let registry = Registry::default();
        let commands = Arc::new(CommandQueue::new(None));
        let sender = registry.add_sender(1, MediaKind::Audio, commands.clone());
        let receiver = registry.add_receiver(1, MediaKind::Audio);
        let other = registry.add_sender(2, MediaKind::Video, commands);
        let gone = registry.forget(Some(1));
        assert_eq!((gone.senders, gone.receivers), (vec![sender], vec![receiver]));
        assert!(registry.sender(sender).is_none() && registry.receiver(receiver).is_none());
        assert!(registry.sender(other).is_some());
        assert_eq!(registry.forget(None).senders, [other]);
    }
}
