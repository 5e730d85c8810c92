//! Passive TCP candidates: the ports on which connections come in, and whose each connection is.
//!
//! All transports of the process share a port. The first datagram of a connection is a check, and its user name begins
//! with the ufrag of the transport that it is for (RFC 8445 section 7.2.2).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::network::Network;

/// A port that is listened on, and how many transports use it.
struct Port<L> {
    listener: L,
    address: SocketAddr,
    users: usize,
}

/// The address and port as they were wished for: port 0 is any.
pub type Wish = (IpAddr, u16);

pub struct Passive<L> {
    ports: HashMap<Wish, Port<L>>,
    /// ufrag -> index of its transport
    ufrags: HashMap<String, u32>,
}

impl<L> Default for Passive<L> {
    fn default() -> Passive<L> {
        Passive { ports: HashMap::new(), ufrags: HashMap::new() }
    }
}

impl<L: Copy> Passive<L> {
    /// Listen for one more transport. [`Passive::leave`] ends it.
    pub fn join<N: Network<Listener = L>>(&mut self, net: &mut N, wish: Wish) -> io::Result<SocketAddr> {
        if let Some(port) = self.ports.get_mut(&wish) {
            port.users += 1;
            return Ok(port.address);
        }
        let (listener, address) = net.listen(wish.0, wish.1)?;
        self.ports.insert(wish, Port { listener, address, users: 1 });
        Ok(address)
    }

    /// The last transport closes the port.
    pub fn leave<N: Network<Listener = L>>(&mut self, net: &mut N, wish: Wish) {
        let Some(port) = self.ports.get_mut(&wish) else { return };
        port.users -= 1;
        if port.users == 0 {
            net.stop_listening(port.listener);
            self.ports.remove(&wish);
        }
    }

    /// The address of a port that is listened on already.
    pub fn address(&self, wish: Wish) -> Option<SocketAddr> {
        self.ports.get(&wish).map(|port| port.address)
    }

    pub fn expect(&mut self, ufrag: String, index: u32) {
        self.ufrags.insert(ufrag, index);
    }

    pub fn owner(&self, ufrag: &str) -> Option<u32> {
        self.ufrags.get(ufrag).copied()
    }

    pub fn forget(&mut self, index: u32) {
        self.ufrags.retain(|_, owner| *owner != index);
    }
}
